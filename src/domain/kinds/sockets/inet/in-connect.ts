import { SYS } from '../../../../guest/hands/syscalls.js';
import { standsEcall } from '../../../freeze/restart.js';
import type { FrozenThread } from '../../../freeze/frozen-thread.js';
import { together } from '../../../together.js';
import { PC, REG } from '../../../trace/tracee.js';
import type { CheckpointContext, OpenFile } from '../../kind.js';

/**
 * Threads that the stop has caught in connect(2) on a socket, and that are to make that call again. The kernel they leave
 * remembers that it had begun, and would then answer what came of it; another kernel would begin anew.
 */
export async function threadsInConnect(context: CheckpointContext, file: OpenFile): Promise<FrozenThread[]> {
  const threads = file.users.flatMap(({ pid, fd }) => {
    const hostPid = context.views.find((v) => v.pid === pid)?.hostPid ?? -1;
    return (context.frozen.get(hostPid)?.threads ?? []).filter(({ regs }) => calls(regs, SYS.connect, fd));
  });
  if (threads.length === 0) return [];
  const stand = await together(threads.map(({ tracee, regs }) => standsEcall(tracee, Number(regs[PC] ?? 0n))));
  return threads.filter((_, i) => stand[i]);
}

/** Whether registers are those of a call of that number with that descriptor, an int, as its first argument. */
const calls = (regs: FrozenThread['regs'], nr: number, fd: number): boolean =>
  Number(regs[REG.a7] ?? -1n) === nr && Number(BigInt.asIntN(32, regs[REG.a0] ?? -1n)) === fd;
