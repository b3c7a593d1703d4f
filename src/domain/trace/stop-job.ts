/** Stopped jobs in the making: what SIGSTOP and its like do to a process, done to one that is traced. */
import type { Batch } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { PTRACE, SIG } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { only } from './stop-signal.js';
import { describeStop, type Stop, type Tracee } from './tracee.js';

const isGroupStop = (s: Stop, signal: number): boolean =>
  s.kind === 'stopped' && s.event === PTRACE.EVENT_STOP && s.value === signal;

/**
 * Has a process with a runner stop by a signal; it can still be told to make calls. All of its threads take part, as it
 * counts as stopped when the last one does. Where no signal of a terminal stops it (its group is an orphan), SIGSTOP does.
 */
export async function stopJob(leader: Tracee, threads: Iterable<Tracee>, signal: number): Promise<void> {
  // After a call the runner stops by a signal, and the tracer chooses which one is delivered.
  check(await leader.syscall(SYS.getpid), 'getpid');
  // One that is blocked would only be pending.
  await leader.setSignalMask(0n);
  await completeStop(leader, threads, signal);
  await leader.blockSignals(leader.runner?.signal);
}

/** Has a process stop by a signal that one of its threads, `first`, is about to be given. */
export async function completeStop(first: Tracee, threads: Iterable<Tracee>, signal: number): Promise<void> {
  let by = signal;
  let stop = await first.resume(PTRACE.CONT, by);
  if (stop.kind === 'stopped' && stop.event === 0) {
    by = SIG.STOP;
    stop = await first.resume(PTRACE.CONT, by);
  }
  const expect = (thread: Tracee): void => {
    if (!isGroupStop(stop, by))
      throw new DomainError('lost', `thread ${thread.tid} did not stop as a job: ${describeStop(stop)}`);
  };
  expect(first);
  for (const thread of threads) {
    if (thread === first) continue;
    stop = await thread.resume(PTRACE.CONT);
    expect(thread);
  }
}

/** Has a stopped process go on, as far as others can see. No signal is left pending. */
export async function continueJob(leader: Tracee, threads: Iterable<Tracee>): Promise<void> {
  const { hands } = leader;
  check(await hands.syscall(SYS.kill, leader.tid, SIG.CONT), 'continuing a job');
  // Each is told so at a stop of its own.
  for (const thread of threads) {
    const stop = await thread.resume(PTRACE.CONT);
    if (!isGroupStop(stop, SIG.TRAP))
      throw new DomainError('lost', `thread ${thread.tid} did not go on as a job: ${describeStop(stop)}`);
  }
  await forgetSignal(leader, SIG.CONT);
}

/** Takes a signal out of what is pending for a process or its thread. */
export async function forgetSignal(tracee: Tracee, signal: number): Promise<void> {
  const b = tracee.batch();
  addForget(b, signal);
  await b.run();
}

/** Adds what {@link forgetSignal} does to what a process is told to do. */
export function addForget(b: Batch, signal: number): void {
  b.call(SYS.rt_sigtimedwait, b.bytes(only(signal)), 0, b.bytes(new Uint8Array(16)), 8);
}
