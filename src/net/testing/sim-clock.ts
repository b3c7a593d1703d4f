/** Time that only tests move: what waits a minute is over in a moment, and every run is the same. */
import type { Clock } from '../clock.js';

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

export class SimClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #heap: Event[] = [];
  #soon: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, run, cancelled: false };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  soon(run: () => void): void {
    this.#soon.push(run);
  }

  turn(run: () => void): void {
    this.after(0, run);
  }

  /** Runs what is due until nothing is left before `ms` from now, or until `done` says so. */
  advance(ms: number, done: () => boolean = () => false): void {
    const end = this.#now + ms;
    this.#settle();
    while (!done()) {
      const event = this.#heap[0];
      if (event === undefined || event.at > end) {
        this.#now = end;
        return;
      }
      this.#pop();
      if (event.cancelled) continue;
      this.#now = event.at;
      event.run();
      this.#settle();
    }
  }

  #settle(): void {
    while (this.#soon.length > 0) {
      const due = this.#soon;
      this.#soon = [];
      for (const run of due) run();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0 && earlier(event, heap[(at - 1) >> 1])) {
      heap[at] = heap[(at - 1) >> 1];
      at = (at - 1) >> 1;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1], heap[child])) child++;
      if (!earlier(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
