import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, O } from './flags.js';
import { closeAll } from './making.js';
import { check } from './os.js';

/** Of the hands' own PID namespace: in the namespaces that the hands come from and go back to. */
export const INIT = 1;

/** Namespaces to enter: those of a process, by its id, or one namespace, by a path that leads to it (`/proc/PID/ns/uts`). */
export type Where = number | string;

/**
 * Has the hands make calls inside namespaces of a process, in one batch, and come back. `types`: `CLONE_NEW…` flags of
 * namespaces that a process can enter by itself (setns(2): UTS, IPC, network, cgroup). `ask` adds the calls, none of
 * them with {@link Batch.must}: the batch must reach its end. Throws `guest` where the namespaces cannot be entered;
 * then the calls were not made.
 *
 *     const name = await inside(hands, anchor.pid, CLONE.NEWUTS, (b) => {
 *       const out = b.out(390);
 *       const asked = b.call(SYS.uname, out);
 *       return (r) => (check(r.value(asked), 'uname'), r.bytes(out));
 *     });
 */
export async function inside<T>(
  hands: Hands,
  where: Where,
  types: number,
  ask: (b: Batch) => (r: BatchResult) => T,
): Promise<T> {
  const b = hands.batch();
  const back = b.must(SYS.pidfd_open, INIT, 0);
  const there =
    typeof where === 'number'
      ? b.must(SYS.pidfd_open, where, 0)
      : b.must(SYS.openat, AT_FDCWD, b.str(where), O.RDONLY | O.CLOEXEC, 0);
  const entered = b.must(SYS.setns, there, types);
  const answer = ask(b);
  const left = b.call(SYS.setns, back, types);
  for (const fd of [there, back]) b.call(SYS.close, fd);
  const r = await b.run();
  if (r.value(entered) < 0) await closeAll(hands, [r.value(back), r.value(there)]);
  for (const fd of [back, there]) check(r.value(fd), `finding ${nameOf(where)}`);
  check(r.value(entered), `entering namespaces of ${nameOf(where)}`);
  check(r.value(left), 'coming back from namespaces');
  return answer(r);
}

const nameOf = (where: Where): string => (typeof where === 'number' ? `process ${where}` : where);
