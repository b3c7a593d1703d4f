/** Hands that fail when a test says so: the real ones, with something in between that spoils what they are asked. */
import { HandsError } from '../../src/guest/hands/errors.js';
import type { LaidOut } from '../../src/guest/hands/batch.js';
import type { HandsTransport } from '../../src/guest/hands/hands.js';

/** A number that no kernel has a system call for: it answers ENOSYS. */
const NO_CALL = 9999n;

/** How a batch ends: as it does; nobody took it up; it was done, and the answer did not come. */
export type Fate = 'answered' | 'not-begun' | 'unanswered';

export class Saboteur implements HandsTransport {
  /**
   * Asked of each call of the hands (not of those that processes make themselves), by its number and its first argument:
   * whether the kernel shall refuse it.
   */
  refuses: (nr: number, first: number) => boolean = () => false;
  /** Asked of each batch, by the calls it has. */
  fate: (calls: readonly number[]) => Fate = () => 'answered';

  constructor(private readonly real: HandsTransport) {}

  get base(): number {
    return this.real.base;
  }
  get size(): number {
    return this.real.size;
  }
  get maxCalls(): number {
    return this.real.maxCalls;
  }

  async run(work: LaidOut): Promise<{ results: BigInt64Array; output: Uint8Array }> {
    const calls = Array.from({ length: work.count }, (_, i) => Number(work.rows[7 * i]));
    const fate = this.fate(calls);
    if (fate === 'not-begun') throw new HandsError('timeout', 'sabotage: nobody took it up');
    calls.forEach((nr, i) => {
      if (this.refuses(nr, Number(work.rows[7 * i + 1]))) work.rows[7 * i] = NO_CALL;
    });
    const answer = await this.real.run(work);
    if (fate === 'unanswered') throw new HandsError('timeout', 'sabotage: no answer', 0, true);
    return answer;
  }

  /** Spoils nothing any more. */
  relent(): void {
    this.refuses = () => false;
    this.fate = () => 'answered';
  }
}
