import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { __WALL, PTRACE, SIG } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { AT_CALL } from '../trace/runner.js';
import { forgetSignal } from '../trace/stop-job.js';
import { PC, REG, type Tracee } from '../trace/tracee.js';

/**
 * Processes that have ended but still count: a zombie keeps its status for its parent, and a process group
 * keeps the id of a leader that is long gone.
 */

const RLIMIT_CORE = 4;

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
    const b = tracee.batch();
    const limited = b.call(SYS.prlimit64, 0, RLIMIT_CORE, b.bytes(new Uint8Array(16)), 0);
    check((await b.run()).value(limited), 'limiting what is dumped');
    await tracee.setSignalMask(0n);
    const stop = await tracee.resume(PTRACE.CONT, signal);
    if (stop.kind === 'killed') return;
  }
  throw new DomainError('lost', `process ${tracee.tid} did not end`);
}

/** The flag in a wait status that says that memory was dumped. */
export const WCOREDUMP = 0x80;

/** A parent takes leave of a child that was only made for a moment, and hears of it no more. */
export async function bury(parent: Tracee, pid: number): Promise<void> {
  check(await parent.syscall(SYS.wait4, pid, 0, __WALL, 0), `burying process ${pid}`);
  await forgetSignal(parent, SIG.CHLD);
}
