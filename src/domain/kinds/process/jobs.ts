import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { __WALL, SIG, WNOHANG } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { continueJob, forgetSignal, stopJob } from '../../trace/stop-job.js';
import type { Tracee } from '../../trace/tracee.js';
import { processKind } from '../kind.js';

const P_PID = 1;
const WSTOPPED = 2;
const WCONTINUED = 8;
const WNOWAIT = 0x0100_0000;
const SIGINFO_SIZE = 128;
/** What waitid(2) answers in si_code. */
const CLD_STOPPED = 5;
const CLD_CONTINUED = 6;

interface JobState {
  /** The signal that stopped it, or 0. */
  readonly stoppedBy: number;
  /** Its parent, if that is one of the domain's own processes; nobody else asks. */
  readonly parent: number | undefined;
  /** What its parent has yet to be told: CLD_STOPPED, CLD_CONTINUED, or 0. */
  readonly news: number;
}

/** Stopped jobs, and what parents have yet to be told of their children's stopping and going on. */
export const jobs = processKind<JobState>({
  name: 'jobs',
  keeps: 'stopped processes with the signal that stopped them, and what their parents have yet to hear of it',
  stage: 'early',
  async checkpoint({ context, view, frozen }) {
    const stoppedBy = frozen.leader.stoppedBy ?? 0;
    const above = context.frozen.get(view.status.ppid);
    if (above === undefined) return { stoppedBy, parent: undefined, news: 0 };
    const news = await ask(above.leader.tracee, view.pid, WSTOPPED | WCONTINUED | WNOWAIT);
    return { stoppedBy, parent: context.threadIds.get(above.hostPid), news };
  },
  async restore({ context, pid, leader, threads }, { stoppedBy, parent, news }) {
    if (stoppedBy === 0 && news !== CLD_CONTINUED) return;
    await stopJob(leader, threads.values(), stoppedBy === 0 ? SIG.STOP : stoppedBy);
    if (stoppedBy === 0) await continueJob(leader, threads.values());
    const above = parent === undefined ? undefined : context.processes.get(parent)?.leader;
    if (above === undefined) return;
    if (news === 0 && (await ask(above, pid, WSTOPPED)) !== CLD_STOPPED)
      throw new DomainError('guest', `process ${pid} is no stopped job`);
    // It has had the signal, or has it among those that are pending.
    await forgetSignal(above, SIG.CHLD);
  },
});

/** What a parent is told of a child that it asks about; 0: nothing. */
async function ask(parent: Tracee, pid: number, what: number): Promise<number> {
  const b = parent.batch();
  const info = b.out(SIGINFO_SIZE);
  const n = b.call(SYS.waitid, P_PID, pid, info, what | WNOHANG | __WALL, 0);
  const r = await b.run();
  check(r.value(n), `asking about process ${pid}`);
  // si_signo i32, si_errno i32, si_code i32.
  return r.view(info).getInt32(0, true) === 0 ? 0 : r.view(info).getInt32(8, true);
}
