import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { PTRACE, SIG } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { AT_CALL } from '../trace/runner.js';
import { forgetSignal } from '../trace/stop-job.js';
import { PC, REG, type Tracee } from '../trace/tracee.js';

/**
 * Processes that have ended but still count: a zombie keeps its status for its parent, and a process group
 * keeps the id of a leader that is long gone.
 */

/** Has a process with a runner end as wait status `status` says (wait(2)): with a code, or by a signal. */
export async function end(tracee: Tracee, status: number): Promise<void> {
  const signal = status & 0x7f;
  if (signal === 0) {
    const regs = new BigUint64Array(32);
    regs[PC] = BigInt(tracee.area + AT_CALL);
    regs[REG.a0] = BigInt((status >> 8) & 0xff);
    regs[REG.a7] = BigInt(SYS.exit_group);
    await tracee.setRegisters(regs);
    const stop = await tracee.resume(PTRACE.CONT);
    if (stop.kind === 'exited') return;
  } else {
    // After a call the runner stops by a signal, and the tracer chooses which one is delivered.
    check(await tracee.syscall(SYS.getpid), 'getpid');
    await tracee.setSignalMask(0n);
    const stop = await tracee.resume(PTRACE.CONT, signal);
    if (stop.kind === 'killed') return;
  }
  throw new DomainError('lost', `process ${tracee.tid} did not end`);
}

/** Takes the news of a child's end out of what is pending for its parent, who must not hear of it again. */
export const forgetChildSignal = (parent: Tracee): Promise<void> => forgetSignal(parent, SIG.CHLD);
