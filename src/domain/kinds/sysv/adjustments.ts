/**
 * What the kernel will undo when a process ends (SEM_UNDO): for each semaphore the sum of what is to be added then.
 * Nobody can read it. But an operation by which it would leave its range (-32768 to 32767) fails with ERANGE, and as one
 * semop(2) does all of its operations or none, another one at the end that cannot be done keeps it from ever changing
 * anything:
 *
 *     -a   +a UNDO   -b   +b UNDO   …   wait for zero       ERANGE: the sum is below a + b + … - 32768
 *     ╰─ value stays ─╯                 EAGAIN              EAGAIN: it is not
 */
import type { Batch, BatchResult } from '../../../guest/hands/batch.js';
import { DomainError } from '../../errors.js';
import { EACCES, EAGAIN } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import type { Tracee } from '../../trace/tracee.js';
import { operations, type Operation } from './operations.js';

const SEM_UNDO = 0x1000;
const IPC_NOWAIT = 0o4000;
const ERANGE = 34;
/** The sum of adjustments lies from -RANGE to RANGE - 1. */
const RANGE = 0x8000;
/** By so much a semaphore of any value can be raised and lowered again, or lowered and raised. */
const STEP = 0x3fff;
const AT_ONCE = 150;

export interface Semaphore {
  readonly id: number;
  readonly index: number;
  readonly value: number;
}

export interface Adjustment extends Semaphore {
  readonly adjustment: number;
}

/** Operations that leave the value as it is and take `amount` (which may be negative) from the adjustment. */
export function shifting({ index, value }: Semaphore, amount: number): Operation[] {
  const out: Operation[] = [];
  for (let left = Math.abs(amount); left > 0; left -= STEP) {
    const step = Math.sign(amount) * Math.min(STEP, left);
    const undone = { index, op: step, flags: SEM_UNDO | IPC_NOWAIT };
    const plain = { index, op: -step, flags: IPC_NOWAIT };
    // Down first where the value allows it; where it does not, there is room above.
    const down = value >= Math.abs(step);
    out.push(...(step < 0 === down ? [undone, plain] : [plain, undone]));
  }
  return out;
}

/** Adds the question whether taking `amount` from the adjustment would leave its range. */
function probe(b: Batch, semaphore: Semaphore, amount: number): (r: BatchResult) => boolean {
  const { id, index, value } = semaphore;
  const fails = [...(value === 0 ? [{ index, op: 1, flags: IPC_NOWAIT }] : []), { index, op: 0, flags: IPC_NOWAIT }];
  const n = operations(b, id, [...shifting(semaphore, amount), ...fails]);
  return (r) => {
    const answer = r.value(n);
    // Who may not operate on it has nothing to undo.
    if (answer === -ERANGE) return true;
    if (answer === -EAGAIN || answer === -EACCES) return false;
    check(answer, `asking for adjustments of semaphores ${id}`);
    throw new DomainError('state', `semaphores ${id} were operated on when they were only to be asked`);
  };
}

async function probeAll<A extends Semaphore>(
  tracee: Tracee,
  all: readonly A[],
  amount: (a: A) => number,
): Promise<boolean[]> {
  const out: boolean[] = [];
  for (let first = 0; first < all.length; first += AT_ONCE) {
    const b = tracee.batch();
    const answers = all.slice(first, first + AT_ONCE).map((s) => probe(b, s, amount(s)));
    const r = await b.run();
    for (const answer of answers) out.push(answer(r));
  }
  return out;
}

/** What will be undone when a stopped process ends. */
export async function readAdjustments(tracee: Tracee, semaphores: readonly Semaphore[]): Promise<Adjustment[]> {
  const below = await probeAll(tracee, semaphores, () => RANGE);
  const above = await probeAll(tracee, semaphores, () => 1 - RANGE);
  // The least amount that leaves the range, by halving: `low` does not, `high` does.
  let open = semaphores.flatMap((s, i) =>
    below[i] || above[i] ? [{ ...s, sign: below[i] ? 1 : -1, low: 0, high: below[i] ? RANGE : RANGE - 1 }] : [],
  );
  for (; open.some((o) => o.high - o.low > 1);) {
    const middle = open.map((o) => ({ ...o, middle: (o.low + o.high) >> 1 }));
    const leaves = await probeAll(tracee, middle, (o) => o.sign * o.middle);
    open = middle.map((o, i) => (leaves[i] ? { ...o, high: o.middle } : { ...o, low: o.middle }));
  }
  return open.map(({ id, index, value, sign, high }) => ({
    id,
    index,
    value,
    adjustment: sign > 0 ? high - RANGE - 1 : RANGE - high,
  }));
}

/** Has a process that has none of these adjustments have them; the values stay. */
export async function giveAdjustments(tracee: Tracee, all: readonly Adjustment[]): Promise<void> {
  for (let first = 0; first < all.length; first += AT_ONCE) {
    const b = tracee.batch();
    const calls = all.slice(first, first + AT_ONCE).map((a) => operations(b, a.id, shifting(a, -a.adjustment)));
    const r = await b.run();
    for (const call of calls) check(r.value(call), 'adjusting semaphores');
  }
}
