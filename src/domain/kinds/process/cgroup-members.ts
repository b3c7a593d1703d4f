import { check, readTexts, writeText } from '../../linux/os.js';
import { pathBelow } from '../../tree/cgroup-below.js';
import { processKind } from '../kind.js';

/** Threads by their ids in the domain, and the cgroup of each from the domain's own (empty: that one). */
type Membership = readonly (readonly [tid: number, path: string])[];

/** In which of the domain's cgroups a process is, and its threads where they are apart from it. */
export const cgroupMembers = processKind<Membership>({
  name: 'members of cgroups',
  keeps: 'in which of the domain’s cgroups each process and each thread is',
  stage: 'last',
  async checkpoint({ context: { hands, anchor }, view }) {
    const { cgroup } = anchor;
    if (!cgroup.isNested) return [];
    const texts = await readTexts(
      hands,
      view.threads.map((t) => `/proc/${view.hostPid}/task/${t.hostTid}/cgroup`),
      1,
    );
    return view.threads.map(({ tid }, i) => [tid, pathBelow(texts[i], cgroup, `thread ${tid}`)]);
  },
  async restore({ context: { hands, anchor }, pid, leader, threads }, members) {
    const { path } = anchor.cgroup;
    const home = members.find(([tid]) => tid === pid)?.[1] ?? '';
    // A threaded cgroup takes threads, each for itself; any other takes a process with all of them.
    if (home !== '') {
      const whole = await writeText(hands, `${path}${home}/cgroup.procs`, String(leader.tid));
      if (whole === 0 && members.every(([, at]) => at === home)) return;
    }
    for (const [tid, at] of members) {
      const tracee = threads.get(tid);
      if (tracee === undefined || (at === '' && home === '')) continue;
      const file = `${path}${at}/cgroup.threads`;
      check(await writeText(hands, file, String(tracee.tid)), `moving thread ${tid} into the cgroup ${at}`);
    }
  },
});
