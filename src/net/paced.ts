/**
 * What a station sends faster than it may: frames wait here, up to a bound, and go on one after the other as time goes by.
 *
 *     station ──send──▶ ▒▒▒▒ ──so many bytes per second──▶ switch
 */
import { compact } from './arena.js';
import type { Clock } from './clock.js';
import { Queue } from './queue.js';
import { TokenBucket } from './token-bucket.js';

/** Seconds' worth that may pass at once after a rest. */
export const BURST = 0.1;
/** Bytes, and frames, that may wait; over half of either the station is asked to wait itself. */
const MOST_BYTES = 1024 * 1024;
const MOST_FRAMES = 2048;

export class Paced {
  readonly #bucket: TokenBucket;
  readonly #queue = new Queue<Uint8Array>();
  #bytes = 0;
  #cancel: (() => void) | undefined;
  #stationWaits = false;

  /** `ready`: a station that was asked to wait may go on. */
  constructor(
    private readonly clock: Clock,
    /** Bytes per second. */
    readonly rate: number,
    private readonly pass: (frame: Uint8Array) => boolean,
    private readonly ready: () => void,
  ) {
    this.#bucket = new TokenBucket(rate, BURST, clock.now());
  }

  /** Whether the frame was taken; false for `roomy`: the station should wait until it is told. */
  send(frame: Uint8Array): { readonly taken: boolean; readonly roomy: boolean } {
    if (this.#queue.length === 0 && this.#bucket.wait(this.clock.now()) === 0) {
      this.#bucket.take(frame.length);
      return { taken: true, roomy: this.pass(frame) };
    }
    const taken = this.#bytes + frame.length <= MOST_BYTES && this.#queue.length < MOST_FRAMES;
    if (taken) {
      this.#queue.push(compact(frame));
      this.#bytes += frame.length;
      this.#arm();
    }
    const roomy = taken && !this.#isHalfFull;
    this.#stationWaits ||= !roomy;
    return { taken, roomy };
  }

  /** What waits is gone. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#queue.clear();
    this.#bytes = 0;
  }

  /** What waits passes at once: there is no limit any more. */
  end(): void {
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) this.pass(frame);
    this.close();
    if (this.#stationWaits) this.ready();
  }

  get #isHalfFull(): boolean {
    return this.#bytes * 2 > MOST_BYTES || this.#queue.length * 2 > MOST_FRAMES;
  }

  #arm(): void {
    this.#cancel ??= this.clock.after(this.#bucket.wait(this.clock.now()), () => {
      this.#cancel = undefined;
      this.#go();
    });
  }

  #go(): void {
    while (this.#queue.length > 0 && this.#bucket.wait(this.clock.now()) === 0) {
      const frame = this.#take();
      if (frame === undefined) break;
      this.#bucket.take(frame.length);
      this.pass(frame);
    }
    if (this.#queue.length > 0) this.#arm();
    if (!this.#stationWaits || this.#isHalfFull) return;
    this.#stationWaits = false;
    this.ready();
  }

  #take(): Uint8Array | undefined {
    const frame = this.#queue.shift();
    if (frame !== undefined) this.#bytes -= frame.length;
    return frame;
  }
}
