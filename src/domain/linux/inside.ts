import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { closeAll } from './making.js';
import { check } from './os.js';

/** Of the hands' own PID namespace: in the namespaces that the hands come from and go back to. */
const INIT = 1;

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
  pid: number,
  types: number,
  ask: (b: Batch) => (r: BatchResult) => T,
): Promise<T> {
  const b = hands.batch();
  const back = b.must(SYS.pidfd_open, INIT, 0);
  const there = b.must(SYS.pidfd_open, pid, 0);
  const entered = b.must(SYS.setns, there, types);
  const answer = ask(b);
  const left = b.call(SYS.setns, back, types);
  for (const fd of [there, back]) b.call(SYS.close, fd);
  const r = await b.run();
  if (r.value(entered) < 0) await closeAll(hands, [r.value(back), r.value(there)]);
  for (const fd of [back, there]) check(r.value(fd), `finding process ${pid}`);
  check(r.value(entered), `entering namespaces of process ${pid}`);
  check(r.value(left), 'coming back from namespaces');
  return answer(r);
}
