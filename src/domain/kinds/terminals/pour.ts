/** Writing into a terminal as much as was in it: it may have been full. */
import type { Batch, Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { DomainError } from '../../errors.js';
import { EAGAIN } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { endsOfWrites, SMALLEST } from './filling.js';

/** How often one waits for room, a millisecond each. */
const TURNS = 2000;
/** After so many the terminal is told to go on, and less is written at once: there may be room for that. */
const PATIENT_TURNS = 50;

/** Writes all of it. `behind`: so much is in the terminal already; `write`: adds the writing of a piece, which does not wait; `goOn`: the terminal may be one that was stopped. */
export async function pour(
  hands: Hands,
  fd: number,
  bytes: Uint8Array,
  what: string,
  behind: number,
  write: (b: Batch, piece: Uint8Array, goOn: boolean) => Ref,
): Promise<void> {
  const ends = endsOfWrites(behind + bytes.length).map((end) => end - behind);
  for (let at = 0, turns = 0; at < bytes.length;) {
    const end = ends.find((one) => one > at) ?? bytes.length;
    const piece = bytes.subarray(at, turns > PATIENT_TURNS ? Math.min(end, at + SMALLEST) : end);
    const b = hands.batch();
    const n = write(b, piece, turns === PATIENT_TURNS);
    const wrote = (await b.run()).value(n);
    // One that was full is full before the kernel, in its own time, has passed on the first of it.
    if (wrote === -EAGAIN && ++turns < TURNS) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      continue;
    }
    check(wrote, `${what} (${at} of ${bytes.length} bytes)`);
    if (wrote === 0) throw new DomainError('guest', `descriptor ${fd}: ${what}: it takes nothing`);
    at += wrote;
  }
}
