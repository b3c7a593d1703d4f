import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { PR } from '../linux/flags.js';
import { check, writeText } from '../linux/os.js';
import { together } from '../together.js';
import { processKind } from './kind.js';

const RLIMITS = 16;
const PRIO_PROCESS = 0;

interface Surroundings {
  /** `struct rlimit64` for each resource: current u64, maximum u64. */
  readonly limits: readonly Uint8Array[];
  readonly nice: number;
  readonly oomScoreAdj: number;
  readonly subreaper: number;
  readonly thpDisable: number;
}

/** Limits, niceness and other things a process inherits. */
export const surroundings = processKind<Surroundings>({
  name: 'surroundings',
  keeps: 'limits, niceness, OOM score',
  refuses: 'a controlling terminal, seccomp, real-time scheduling',
  stage: 'last',
  describe(view) {
    const where = `process ${view.pid}`;
    if (view.stat.policy !== 0) throw unsupported('a real-time or batch scheduling policy', where);
    if (view.status.seccomp !== 0) throw unsupported('seccomp', where);
    if (view.stat.ttyNr !== 0) throw unsupported('a controlling terminal', where);
  },
  async checkpoint({ context, view, leader }) {
    const b = context.hands.batch();
    const limits = Array.from({ length: RLIMITS }, (_, i) => {
      const out = b.out(16);
      return { out, n: b.call(SYS.prlimit64, view.hostPid, i, 0, out) };
    });
    const t = leader.batch();
    const subreaper = t.out(8);
    t.call(SYS.prctl, PR.GET_CHILD_SUBREAPER, subreaper, 0, 0, 0);
    const thp = t.call(SYS.prctl, PR.GET_THP_DISABLE, 0, 0, 0, 0);
    const [r, tr] = await together([b.run(), t.run()]);
    for (const { n } of limits) check(r.value(n), 'reading limits');
    return {
      limits: limits.map(({ out }) => r.bytes(out)),
      nice: view.stat.nice,
      oomScoreAdj: view.oomScoreAdj,
      subreaper: tr.view(subreaper).getInt32(0, true),
      thpDisable: Math.max(0, tr.value(thp)),
    };
  },
  async restore({ context, leader }, s) {
    const t = leader.batch();
    if (s.subreaper !== 0) t.call(SYS.prctl, PR.SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (s.thpDisable !== 0) t.call(SYS.prctl, PR.SET_THP_DISABLE, s.thpDisable, 0, 0, 0);
    const b = context.hands.batch();
    const refs = s.limits.map((limit, i) => b.call(SYS.prlimit64, leader.tid, i, b.bytes(limit), 0));
    if (s.nice !== 0) refs.push(b.call(SYS.setpriority, PRIO_PROCESS, leader.tid, s.nice));
    const [, r] = await together([t.run(), b.run()]);
    for (const ref of refs) check(r.value(ref), 'setting limits');
    if (s.oomScoreAdj !== 0) await writeText(context.hands, `/proc/${leader.tid}/oom_score_adj`, String(s.oomScoreAdj));
  },
});
