/** Open files of /proc and /sys: windows into the kernel, which are opened anew by their names. */
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../errors.js';
import type { LookContext, RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { check } from '../linux/os.js';

/** Whether a name is one of these. */
export const isKernelFile = (path: string): boolean => /^\/(proc|sys)(\/|$)/.test(path);

/** Files that remember what was written into them, or who read them how far. */
const WITH_STATE =
  /^\/proc\/(pressure\/|kmsg$|bus\/|asound\/|fs\/nfsd)|^\/sys\/fs\/cgroup\/.*\.pressure$|^\/sys\/kernel\/(debug|tracing)\//;

/** Refuses what has a state of its own, and processes that are none of the domain's. Throws `unsupported`. */
export function refuseKernelFile({ views }: Pick<LookContext, 'views'>, name: string, flags: number): void {
  if (WITH_STATE.test(name) && (flags & O.PATH) === 0 && ((flags & O.ACCMODE) !== O.RDONLY || name === '/proc/kmsg'))
    throw unsupported('an open file of /proc or /sys with a state', name);
  const [, pid, tid] = /^\/proc\/(\d+)(?:\/task\/(\d+))?/.exec(name) ?? [];
  if (pid === undefined || pid === '1') return;
  const threads = views.find((v) => v.pid === Number(pid))?.threads;
  if (threads === undefined || (tid !== undefined && !threads.some((t) => t.tid === Number(tid))))
    throw unsupportedNow('an open file of /proc of a process that has ended', name);
}

/**
 * Opens one in the name of the domain's first process: what it shows depends on the namespaces of who opens it. Answers a
 * descriptor of the hands.
 */
export async function openKernelFile({ hands, anchor }: RestoreContext, path: string, flags: number): Promise<number> {
  const { tracee } = anchor;
  const t = tracee.batch();
  const opened = t.call(SYS.openat, AT_FDCWD, t.str(path), flags | O.CLOEXEC, 0);
  const there = check((await t.run()).value(opened), `opening ${path}`);
  const b = hands.batch();
  const pidfd = b.must(SYS.pidfd_open, anchor.pid, 0);
  const got = b.call(SYS.pidfd_getfd, pidfd, there, 0);
  b.call(SYS.close, pidfd);
  const fd = (await b.run()).value(got);
  await tracee.syscall(SYS.close, there);
  return check(fd, `fetching ${path}`);
}
