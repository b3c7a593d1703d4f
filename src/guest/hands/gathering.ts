import { HandsError } from './errors.js';

/**
 * How many turns of the microtask queue a gathering waits for others to join: an answer that wakes several callers
 * reaches each through a few awaits of its own before it asks for the next thing. Together some microseconds.
 */
const TURNS = 40;

/** What work takes, or what there is room for at once. */
export interface Room {
  readonly calls: number;
  readonly bytes: number;
}

interface Waiting<W, R> {
  readonly work: W;
  readonly size: Room;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Has batches that are wanted at about the same time run as one: what costs time is each way to the guest and back,
 * not the calls. Batches keep their order and are never torn apart; a failure in one ends that one alone.
 *
 *     callers   a ─╮  b ─╮  c ─╮          d ─╮
 *     work         ╰─────┴─────┴─ a b c ─ … ─┴─ d ─
 */
export class Gathering<W, R> {
  #waiting: Waiting<W, R>[] = [];
  #busy = false;

  constructor(
    /** Never exceeded by one piece of work. */
    private readonly room: () => Room,
    private readonly measure: (work: W) => Room,
    /** Runs them as one; answers a result for each. */
    private readonly runAll: (work: readonly W[]) => Promise<readonly R[]>,
  ) {}

  /** Throws `batch-too-large`, or what the work throws. */
  run(work: W): Promise<R> {
    const { calls, bytes } = this.room();
    const size = this.measure(work);
    if (size.calls > calls)
      return Promise.reject(new HandsError('batch-too-large', `${size.calls} calls, at most ${calls} fit`));
    if (size.bytes > bytes)
      return Promise.reject(new HandsError('batch-too-large', `${size.bytes} bytes, at most ${bytes} fit`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ work, size, resolve, reject });
      if (!this.#busy) void this.#serve();
    });
  }

  /** Never fails: failures are the callers'. */
  async #serve(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
      const group = this.#take();
      try {
        const results = await this.runAll(group.map((w) => w.work));
        for (const [i, result] of results.entries()) group[i]?.resolve(result);
      } catch (e) {
        for (const w of group) w.reject(e);
      }
      // Whoever got an answer may ask again at once, and go together with those who still wait.
      for (let turn = 0; turn < TURNS && this.#waiting.length === 0; turn++) await Promise.resolve();
    }
    this.#busy = false;
  }

  /** The first that waits, and those after it that fit. */
  #take(): Waiting<W, R>[] {
    const { calls, bytes } = this.room();
    let [n, size, fit] = [0, 0, 0];
    for (const w of this.#waiting) {
      n += w.size.calls;
      size += w.size.bytes;
      if (fit > 0 && (n > calls || size > bytes)) break;
      fit++;
    }
    return this.#waiting.splice(0, fit);
  }
}
