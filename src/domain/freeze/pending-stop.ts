/** SIGSTOP that has been sent and not yet taken: nothing keeps it from being the first thing that its process does. */
import { DomainError } from '../errors.js';
import { PTRACE, SIG } from '../linux/flags.js';
import { completeStop } from '../trace/stop-job.js';
import { describeStop } from '../trace/tracee.js';
import type { FrozenThread } from './frozen-thread.js';

const SIGSTOP_BIT = 1n << BigInt(SIG.STOP - 1);

export const isStopPending = (pending: bigint): boolean => (pending & SIGSTOP_BIT) !== 0n;

/**
 * Has a process take the SIGSTOP that is pending for it: it is a stopped job then, as it would be a moment later. One that is
 * stopped already only loses it, as it will by the SIGCONT that it waits for. `taker`: the thread that it is for, or any.
 * Answers the threads as they stand now.
 */
export async function takeStop(threads: readonly FrozenThread[], taker: FrozenThread): Promise<FrozenThread[]> {
  const { tracee } = taker;
  await tracee.blockSignals();
  const stop = await tracee.resume(PTRACE.CONT);
  if (stop.kind !== 'stopped' || stop.event !== 0 || stop.value !== SIG.STOP)
    throw new DomainError('changed', `thread ${tracee.tid} did not take SIGSTOP: ${describeStop(stop)}`, {
      passing: true,
    });
  if (threads.some((t) => t.stoppedBy !== undefined)) return [...threads];
  await completeStop(
    tracee,
    threads.map((t) => t.tracee),
    SIG.STOP,
  );
  return threads.map((t) => ({ ...t, stoppedBy: SIG.STOP }));
}
