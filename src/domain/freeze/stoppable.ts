/** Who cannot be made to stand still, known before it is tried: a thread that does not stop cannot be let go either. */
import type { Hands } from '../../guest/hands/hands.js';
import { DomainError, unsupported, unsupportedNow } from '../errors.js';
import type { HeldFiles } from '../linux/held-files.js';
import { readTexts } from '../linux/os.js';
import { kernelThreads } from '../proc/kernel-threads.js';
import { parseStatus, type Status } from '../proc/status.js';

/** What a parent in vfork(2) is refused by. */
export const VFORK = 'a wait that cannot be interrupted (vfork)';

/** What a thread is named by when it is refused: `thread 12`. */
type Where = string;

/**
 * Refuses a thread by the state it is in, running or in the freezer. Throws `unsupported`.
 *
 * A parent in vfork(2) waits where no stop reaches it, and the freezer counts it as frozen; any other such wait is
 * short, or the freezer would not come to an end.
 */
export function refuseState(status: Status, where: Where): void {
  if (status.tracer !== 0) throw unsupported('a debugger of its own', where);
  switch (status.state) {
    case 'D':
      throw unsupportedNow(VFORK, where);
    case 'Z':
    case 'X':
      // A thread is in this state for no time, but for the first one of a process, whose others live on.
      throw unsupportedNow('a process whose first thread has ended', where);
  }
}

/** Whether a thread of a frozen cgroup stands where ptrace can take it over: in the freezer, or as one of a stopped job. */
export const isStoppable = ({ state, tracer }: Status): boolean => tracer === 0 && (state === 'S' || state === 'T');

/** A thread of a process, in the hands' namespace. */
export interface Owned {
  readonly hostPid: number;
  readonly tid: number;
}

/**
 * Refuses threads of a frozen cgroup that ptrace could not stop; answers what is known of the others, in their order, without
 * those that are the kernel's. Throws `unsupported` or `changed`, both passing.
 */
export async function refuseUnstoppable(
  hands: Hands,
  threads: readonly Owned[],
  held: HeldFiles,
): Promise<(Owned & { readonly status: Status })[]> {
  return (await ownThreads(hands, threads, held)).map(({ hostPid, tid, status }) => {
    const where = `thread ${tid}`;
    if (status === undefined) throw new DomainError('changed', `${where} ended`, { passing: true });
    refuseState(status, where);
    return { hostPid, tid, status };
  });
}

/** Threads with what /proc says of them, without those that are the kernel's. */
export async function ownThreads(
  hands: Hands,
  threads: readonly Owned[],
  held?: HeldFiles,
): Promise<(Owned & { readonly status: Status | undefined })[]> {
  const statuses = await statusesOf(hands, threads, held);
  const seen = threads.map((t, i) => ({ ...t, status: statuses[i] }));
  const kernels = await kernelThreads(hands, seen);
  return seen.filter((t) => !kernels.has(t.tid));
}

/** What /proc says of threads, in their order; undefined for one that is gone. */
export async function statusesOf(
  hands: Hands,
  threads: readonly Owned[],
  held?: HeldFiles,
): Promise<(Status | undefined)[]> {
  const texts = await readTexts(
    hands,
    threads.map(({ hostPid, tid }) => `/proc/${hostPid}/task/${tid}/status`),
    1,
    held,
  );
  return texts.map((text) => (text === undefined || text === '' ? undefined : parseStatus(text)));
}
