import { SYS } from '../../../guest/hands/syscalls.js';
import { AT_FDCWD, O, PR } from '../../linux/flags.js';
import { check, writeText } from '../../linux/os.js';
import { together } from '../../together.js';
import { processKind } from '../kind.js';

const RLIMITS = 16;
/** What `/proc/PID/loginuid` says where nobody has logged in. */
const NO_LOGIN = '4294967295';

interface Surroundings {
  /** `struct rlimit64` for each resource: current u64, maximum u64. */
  readonly limits: readonly Uint8Array[];
  readonly oomScoreAdj: number;
  readonly subreaper: number;
  /** Which memory a core dump has: hexadecimal. */
  readonly coreFilter: string;
  /** Empty: nobody. */
  readonly login: string;
}

/** Limits and other things a process inherits. */
export const surroundings = processKind<Surroundings>({
  name: 'surroundings',
  keeps: 'limits, OOM score, child subreaper, what a core dump has, login user',
  stage: 'last',
  async checkpoint({ context, view, leader }) {
    const b = context.hands.batch();
    const limits = Array.from({ length: RLIMITS }, (_, i) => {
      const out = b.out(16);
      return { out, n: b.call(SYS.prlimit64, view.hostPid, i, 0, out) };
    });
    const t = leader.batch();
    const subreaper = t.out(8);
    t.call(SYS.prctl, PR.GET_CHILD_SUBREAPER, subreaper, 0, 0, 0);
    const [r, tr] = await together([b.run(), t.run()]);
    for (const { n } of limits) check(r.value(n), 'reading limits');
    return {
      limits: limits.map(({ out }) => r.bytes(out)),
      oomScoreAdj: view.oomScoreAdj,
      subreaper: tr.view(subreaper).getInt32(0, true),
      coreFilter: view.coreFilter.trim(),
      login: view.loginUid === NO_LOGIN ? '' : view.loginUid,
    };
  },
  async restore({ context, leader }, s) {
    const t = leader.batch();
    if (s.subreaper !== 0) t.call(SYS.prctl, PR.SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    // Only the task itself may say so.
    const login = s.login === '' ? undefined : t.call(SYS.openat, AT_FDCWD, t.str('/proc/self/loginuid'), O.WRONLY, 0);
    const written = login === undefined ? undefined : t.call(SYS.write, login, t.str(s.login), s.login.length);
    if (login !== undefined) t.call(SYS.close, login);
    const b = context.hands.batch();
    const refs = s.limits.map((limit, i) => b.call(SYS.prlimit64, leader.tid, i, b.bytes(limit), 0));
    const filter =
      s.coreFilter === '' ? 0 : writeText(context.hands, `/proc/${leader.tid}/coredump_filter`, `0x${s.coreFilter}`);
    const score =
      s.oomScoreAdj === 0 ? 0 : writeText(context.hands, `/proc/${leader.tid}/oom_score_adj`, String(s.oomScoreAdj));
    const [tr, r, filtered, scored] = await together([t.run(), b.run(), filter, score]);
    if (written !== undefined) check(tr.value(written), `setting the login user ${s.login}`);
    check(filtered, 'setting what a core dump has');
    for (const ref of refs) check(r.value(ref), 'setting limits');
    check(scored, 'setting the OOM score');
  },
});
