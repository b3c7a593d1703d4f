/**
 * Whose request goes next through a device that several use, and when.
 *
 *   user a, weight 2 ─▶ ▒▒▒▒ ─┐  the one whose start is earliest      ┌─ all buckets have tokens
 *   user b, weight 1 ─▶ ▒▒▒  ─┴──────────────────────────────────▶ ───┴─ few enough are under way ──▶ pass
 *
 * Start-time fair queueing with a depth (Jin, Chase, Kaur: SFQ(D), SIGMETRICS 2004): a request's start is when its user's
 * last one ended, in a time that stands still for who has nothing to do; it ends its cost divided by the weight later.
 * One user alone is never held up but by buckets. A user may have a bucket of its own, which holds up nobody else.
 */
import type { Rates } from './options.js';
import { TokenBucket } from '../../net/token-bucket.js';

/** What any request costs beside its bytes. */
const COST = 4096;

/** Seconds' worth that a user may have at once after a rest. */
const BURST = 0.1;

/** Who uses a device. */
export class Flow<T> {
  /** What waits for its turn, in order. */
  readonly waiting: Entry<T>[] = [];
  waitingBytes = 0;
  /** When its last request ends, in the turnstile's time. */
  finish = 0;
  readonly bucket: TokenBucket | undefined;

  /** `bandwidth`: bytes per second that it may have at most. */
  constructor(
    readonly weight: number,
    bandwidth?: number,
  ) {
    this.bucket = bandwidth === undefined ? undefined : new TokenBucket(bandwidth, BURST, performance.now());
  }
}

interface Entry<T> {
  readonly start: number;
  readonly bytes: number;
  readonly item: T;
}

interface Limit {
  readonly bytes: TokenBucket | undefined;
  readonly operations: TokenBucket | undefined;
}

export class Turnstile<T> {
  readonly #flows = new Set<Flow<T>>();
  readonly #limits = new Set<Limit>();
  readonly #pass: (item: T, flow: Flow<T>) => void;
  readonly #depth: number;
  #time = 0;
  #underWay = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = 0;
  #blocked = false;
  #pumping = false;

  /** `depth`: so many pass before one of them is `done`, while there are several users. */
  constructor(pass: (item: T, flow: Flow<T>) => void, depth = Infinity) {
    this.#pass = pass;
    this.#depth = depth;
  }

  join(flow: Flow<T>): void {
    this.#flows.add(flow);
  }

  /** Who leaves takes along what waits for its turn: it is answered. */
  leave(flow: Flow<T>): readonly T[] {
    this.#flows.delete(flow);
    flow.waitingBytes = 0;
    const left = flow.waiting.splice(0).map(({ item }) => item);
    this.#pump();
    return left;
  }

  /** Whether what comes passes at once. */
  get isOpen(): boolean {
    return this.#flows.size <= 1 && this.#limits.size === 0 && !this.#blocked && !this.waits;
  }

  get waits(): boolean {
    for (const flow of this.#flows) if (flow.waiting.length > 0) return true;
    return false;
  }

  /** Answers what takes the limit away again. */
  limit({ bytes, operations, burst }: Rates): () => void {
    const now = performance.now();
    const bucket = (rate: number | undefined): TokenBucket | undefined =>
      rate === undefined ? undefined : new TokenBucket(rate, burst, now);
    const limit = { bytes: bucket(bytes), operations: bucket(operations) };
    this.#limits.add(limit);
    return () => {
      this.#limits.delete(limit);
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#pump();
    };
  }

  push(flow: Flow<T>, bytes: number, item: T): void {
    const start = Math.max(this.#time, flow.finish);
    flow.finish = start + (bytes + COST) / flow.weight;
    flow.waiting.push({ start, bytes, item });
    flow.waitingBytes += bytes;
    this.#pump();
  }

  /** One that passed is over. */
  done(): void {
    this.#underWay--;
    this.#pump();
  }

  /** Nothing passes until it is said again. */
  set blocked(blocked: boolean) {
    this.#blocked = blocked;
    if (!blocked) this.#pump();
  }

  #pump(): void {
    // What passes may come back here at once.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (!this.#blocked && (this.#flows.size <= 1 || this.#underWay < this.#depth)) {
        const flow = this.#next();
        if (flow === undefined || this.#waitsForTokens()) return;
        this.#go(flow);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #go(flow: Flow<T>): void {
    const entry = flow.waiting.shift();
    if (entry === undefined) return;
    flow.waitingBytes -= entry.bytes;
    flow.bucket?.take(entry.bytes);
    this.#time = Math.max(this.#time, entry.start);
    for (const { bytes, operations } of this.#limits) {
      bytes?.take(entry.bytes);
      operations?.take(1);
    }
    this.#underWay++;
    this.#pass(entry.item, flow);
  }

  /** The user whose request starts first, of those who may. If there is none, it comes back when one may. */
  #next(): Flow<T> | undefined {
    let best: Flow<T> | undefined;
    let start = Infinity;
    let wait = Infinity;
    for (const flow of this.#flows) {
      const first = flow.waiting[0] as Entry<T> | undefined;
      if (first === undefined || first.start >= start) continue;
      const late = flow.bucket?.wait(performance.now()) ?? 0;
      if (late > 0) {
        wait = Math.min(wait, late);
        continue;
      }
      best = flow;
      start = first.start;
    }
    if (best === undefined && wait < Infinity) this.#comeBack(wait);
    return best;
  }

  #comeBack(wait: number): void {
    const at = performance.now() + wait;
    if (this.#timer !== undefined && this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, wait);
  }

  #waitsForTokens(): boolean {
    if (this.#limits.size === 0) return false;
    const now = performance.now();
    let wait = 0;
    for (const { bytes, operations } of this.#limits) {
      wait = Math.max(wait, bytes?.wait(now) ?? 0, operations?.wait(now) ?? 0);
    }
    if (wait === 0) return false;
    this.#comeBack(wait);
    return true;
  }
}
