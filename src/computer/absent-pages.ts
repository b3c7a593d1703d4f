/**
 * How a hart's thread gives absent pages their frames. Where the reserve is empty it tells the main thread and sleeps, a
 * little at a time, so that whoever wants something of the hart is answered; then the instruction is begun again:
 *
 *     touch ──▶ reserve ──▶ frame, go on
 *                  │ empty: doorbell
 *                  ▼
 *     sleep ──▶ again ─ ─ ▶ the computer has had no frame for PATIENCE
 *                                │ user mode                  │ supervisor mode
 *                                ▼                            ▼
 *                         an access fault: Linux       the OS instance ends,
 *                         ends the process             and it is said why
 *
 * A kernel has no way to go on without memory that it was told it has; a process is only one of many.
 */
import { PAGE_ABSENT, PAGE_MAP, PAGE_PRESENT, PRIVILEGE, RESERVE } from '../hart/state.js';
import { Reserve } from './reserve.js';

/** So long a guest waits for others to give frames (ms). Time in which the process stood still does not count. */
const PATIENCE = 2000;
const MOST_PER_LOOK = 50;

/** What the filler needs of its thread. */
export interface AbsentPagesHost {
  /** Wakes the main thread, which then looks at the reserve. */
  doorbell(): void;
  /** The hart sleeps while this says so, and is not in the middle of an instruction then. */
  nap(still: () => boolean): void;
  /** There is no frame for the kernel. */
  outOfFrames(): void;
}

/** The absent pages of an OS instance, as the thread of one of its harts sees them. */
export class AbsentPages {
  readonly #words: Int32Array;
  #reserve: Reserve | undefined;
  /** Once for each time that nothing was found: an interrupt that is taken then gets the hart's time, and then it looks again. */
  readonly #still = (): boolean => {
    const slept = this.#slept;
    this.#slept = true;
    return !slept && this.#reserve?.level === 0;
  };
  #slept = false;
  #waited = 0;
  /** When it last found nothing. */
  #since = 0;
  #told = false;

  constructor(
    buffer: SharedArrayBuffer,
    private readonly h: number,
    private readonly host: AbsentPagesHost,
  ) {
    this.#words = new Int32Array(buffer);
  }

  /** Gives the absent page a frame, and answers its entry; 0: not now, PAGE_ABSENT: there will be none. */
  fill(page: number): number {
    const words = this.#words;
    const reserve = (this.#reserve ??= new Reserve(words, words[(this.h + RESERVE) >>> 2]));
    const entry = reserve.fill((words[(this.h + PAGE_MAP) >>> 2] >>> 2) + page);
    if (reserve.ask()) this.host.doorbell();
    if ((entry & PAGE_PRESENT) !== 0) {
      this.#waited = 0;
      this.#since = 0;
      return entry;
    }
    return this.#wait(reserve);
  }

  #wait(reserve: Reserve): number {
    const { none } = reserve;
    const now = performance.now();
    // Time counts that began and ended with the computer having none.
    if (!none) this.#since = 0;
    else if (this.#since !== 0) this.#waited += Math.min(now - this.#since, MOST_PER_LOOK);
    if (none) this.#since = now;
    if (none && this.#waited > PATIENCE) {
      if (this.#words[(this.h + PRIVILEGE) >>> 2] === 0) return PAGE_ABSENT;
      if (!this.#told) this.host.outOfFrames();
      this.#told = true;
    }
    this.#slept = false;
    reserve.waits();
    this.host.nap(this.#still);
    return 0;
  }
}
