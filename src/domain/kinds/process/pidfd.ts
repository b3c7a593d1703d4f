import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import { O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { fdInfoValue, type FdInfo } from '../../proc/fdinfo.js';
import { cloneArgs } from '../../trace/clone.js';
import { SyscallRunner } from '../../trace/running.js';
import { Tracee } from '../../trace/tracee.js';
import type { Anchor } from '../../tree/anchor.js';
import { bury, end } from '../../tree/dead.js';
import { ANCHOR } from '../../tree/tree.js';
import { fileKind, type RestoreContext } from '../kind.js';

interface PidfdState {
  /** Id in the domain of the process or thread that it stands for; 0: of one that has ended and is forgotten. */
  readonly pid: number;
  /** PIDFD_NONBLOCK, PIDFD_THREAD: O_NONBLOCK and O_EXCL. */
  readonly flags: number;
}

/** Descriptors that stand for processes and threads (pidfd_open(2)). */
export const pidfd = fileKind<PidfdState>({
  name: 'pidfd',
  keeps:
    'for processes and threads of the domain, alive, ended, or ended and forgotten; how the last ones ended is not told again',
  refuses: 'one for a process outside of the domain',
  matches: (view) => view.link === 'anon_inode:[pidfd]',
  async inspect({ views }, { view }) {
    const pid = pidOf(view.info);
    const known = views.some(
      (v) => v.threads.some((t) => t.tid === pid) || v.dead.some((d) => d.pid === pid) || v.strays.includes(pid),
    );
    if (pid !== 0 && pid !== ANCHOR && !known)
      throw unsupported('a pidfd of a process outside of the domain', `descriptor ${view.fd}`);
    return Promise.resolve();
  },
  checkpoint: (_, { view }) =>
    Promise.resolve({ pid: pidOf(view.info), flags: view.info.flags & (O.NONBLOCK | O.EXCL) }),
  restore: (context, { pid, flags }) => (pid === 0 ? ofNobody(context, flags) : ofOne(context, pid, flags)),
});

/** `NSpid`: its ids from the hands' namespace on inwards. `Pid` is -1 when it is forgotten. */
function pidOf(info: FdInfo): number {
  if (Number(fdInfoValue(info, 'Pid')) <= 0) return 0;
  const ids = fdInfoValue(info, 'NSpid').split(/\s+/);
  return ids.length < 2 ? -1 : Number(ids.at(-1));
}

/** The first process of the domain knows the others by their ids in it. */
async function ofOne({ anchor }: RestoreContext, pid: number, flags: number): Promise<number> {
  return fetched(anchor, await anchor.tracee.syscall(SYS.pidfd_open, pid, flags));
}

/** Of a process that is made in the domain, ended and forgotten for it. */
async function ofNobody({ hands, anchor }: RestoreContext, flags: number): Promise<number> {
  const { tracee } = anchor;
  const b = tracee.batch();
  const args = cloneArgs(b, { flags: 0n });
  const made = b.call(SYS.clone3, args, args.length);
  const pid = check((await b.run()).value(made), 'making a process for its pidfd');
  const [born] = tracee.born;
  if (born === undefined) throw new DomainError('lost', 'a new process was not announced');
  const one = new Tracee(hands, born, new SyscallRunner(hands, tracee.area));
  await one.awaitStop();
  const fd = await fetched(anchor, await tracee.syscall(SYS.pidfd_open, pid, flags & ~O.EXCL));
  await end(one, 0);
  await bury(tracee, pid);
  return fd;
}

/** The hands' descriptor of what the first process has opened, and has no more. */
async function fetched({ hands, pid, tracee }: Anchor, opened: number): Promise<number> {
  check(opened, 'opening a pidfd');
  const b = hands.batch();
  const first = b.call(SYS.pidfd_open, pid, 0);
  const got = b.call(SYS.pidfd_getfd, first, opened, 0);
  b.call(SYS.close, first);
  const r = await b.run();
  await tracee.syscall(SYS.close, opened);
  return check(r.value(got), 'fetching a pidfd');
}
