import type { Hands } from '../../guest/hands/hands.js';
import { readTexts } from '../linux/os.js';
import { parseProcStat, type Status } from './status.js';

/** What the kernel calls its threads for io_uring(7): a worker, or the poller of a ring. */
const NAME = /^iou-(wrk|sqp)-\d+$/;

/** A thread of a process, in the hands' PID namespace. */
interface Seen {
  readonly hostPid: number;
  readonly tid: number;
  readonly status: Status | undefined;
}

/**
 * Which of these threads the kernel has made for itself, to do what a process has asked of io_uring: they execute no program,
 * nobody can trace them, and they come and go as there is work. A program may call its threads so, too.
 */
export async function kernelThreads(hands: Hands, threads: readonly Seen[]): Promise<Set<number>> {
  const named = threads.filter((t) => NAME.test(t.status?.name ?? ''));
  if (named.length === 0) return new Set();
  const texts = await readTexts(
    hands,
    named.map((t) => `/proc/${t.hostPid}/task/${t.tid}/stat`),
    1,
  );
  return new Set(named.filter((_, i) => parseProcStat(texts[i] ?? '').isWorker).map((t) => t.tid));
}
