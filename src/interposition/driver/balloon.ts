/**
 * The monitor's driver of a memory balloon (virtio 1.2, 5.5). What it names are pages of the guest that the device is for,
 * by number, so nothing of them passes through the monitor's memory. Pages that lie free in the guest it has inflated, and
 * deflated at once: their frames are given back, and they come again when they are touched, as if they had been reported.
 */
import * as b from '../../computer/virtio/balloon-format.js';
import type { PageRun } from '../../computer/virtio/balloon-format.js';
import type { BalloonPages, VirtioBalloon } from '../../computer/virtio/balloon.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { Driver } from './driver.js';

/** Page numbers in one request. */
const PFNS = 1024;
const QUEUE_SIZE = 4;
export const BALLOON_DRIVER_BYTES = PFNS * b.PFN_SIZE + b.MOST_STATS + 8192;

/** The monitor's driver of a memory balloon. */
export class BalloonDriver extends Driver implements BalloonPages {
  readonly #balloon: VirtioBalloon;
  readonly #wanted: () => void;
  readonly #list: number;
  readonly #statistics: number;
  /** The device has the buffer for statistics. */
  #given = false;
  /** Requests are made one after the other. */
  #last: Promise<void> = Promise.resolve();
  #done: (() => void) | undefined;
  #underWay = 0;

  /** @param wanted told when the device asks for the guest's statistics */
  constructor(device: VirtioBalloon, memory: MonitorMemory, wanted: () => void) {
    super(device, memory, b.F_STATS_VQ);
    this.#balloon = device;
    this.#wanted = wanted;
    this.takeOver([QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE]);
    this.#list = memory.take(PFNS * b.PFN_SIZE);
    this.#statistics = memory.take(b.MOST_STATS);
    // Where the guest owes an answer, what it said before would be taken for that.
    if (!device.asksStatistics && device.statisticsBytes.length > 0)
      this.attempt(() => this.provide(device.statisticsBytes));
  }

  get extent(): PageRun {
    return this.#balloon.pages.extent;
  }

  inflate(runs: readonly PageRun[]): Promise<void> {
    return this.#each(runs, [b.INFLATE]);
  }

  deflate(runs: readonly PageRun[]): Promise<void> {
    return this.#each(runs, [b.DEFLATE]);
  }

  report(runs: readonly PageRun[]): Promise<void> {
    return this.#each(runs, [b.INFLATE, b.DEFLATE]);
  }

  reset(): void {
    this.#balloon.pages.reset();
  }

  /** What the guest has said of its memory. */
  provide(statistics: Uint8Array): void {
    if (this.#given || this.failure !== undefined || !this.negotiated(b.F_STATS_VQ)) return;
    this.memory.bytes.set(statistics.subarray(0, b.MOST_STATS), this.#statistics);
    this.#given = true;
    const length = Math.min(statistics.length, b.MOST_STATS);
    this.queues[b.STATS].add([{ at: this.#statistics, length, write: false }]);
    this.kick(b.STATS);
  }

  get goesOn(): string | undefined {
    return this.#underWay > 0 ? 'pages on their way' : undefined;
  }

  protected override onFailed(): void {
    this.#done?.();
  }

  protected override finished(): void {
    for (const q of [b.INFLATE, b.DEFLATE]) {
      while (this.queues[q].next() !== undefined) this.#done?.();
    }
    while (this.queues[b.STATS].next() !== undefined) {
      this.#given = false;
      this.#wanted();
    }
  }

  /** Has the device do with the pages what these queues are for, as many as fit into a request at a time. */
  #each(runs: readonly PageRun[], queues: readonly number[]): Promise<void> {
    this.#underWay++;
    const work = this.#last.then(async () => {
      for (const pages of lists(runs)) for (const q of queues) await this.#ask(q, pages);
    });
    this.#last = work.finally(() => this.#underWay--);
    return this.#last;
  }

  /** Resolves when the device has done it, or never will. */
  #ask(q: number, pages: readonly number[]): Promise<void> {
    return new Promise((resolve) => {
      if (this.failure !== undefined) return resolve();
      this.#done = resolve;
      this.attempt(() => {
        pages.forEach((page, i) => this.memory.view.setUint32(this.#list + i * b.PFN_SIZE, page, true));
        this.queues[q].add([{ at: this.#list, length: pages.length * b.PFN_SIZE, write: false }]);
        this.kick(q);
      });
    });
  }
}

/** The pages of all runs, so many at a time. */
function* lists(runs: readonly PageRun[]): Generator<readonly number[]> {
  let list: number[] = [];
  for (const { first, count } of runs) {
    for (let page = first; page < first + count; page++) {
      list.push(page);
      if (list.length < PFNS) continue;
      yield list;
      list = [];
    }
  }
  if (list.length > 0) yield list;
}
