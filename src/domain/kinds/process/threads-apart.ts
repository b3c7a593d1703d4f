import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { AT_FDCWD, KCMP } from '../../linux/flags.js';
import { readTexts } from '../../linux/os.js';
import { parseProcStat } from '../../proc/status.js';
import type { ProcessView } from '../../proc/survey.js';
import { domainKind } from '../kind.js';

/** Namespaces that a thread can enter without the others of its process (namespaces(7)). */
const NAMESPACES = ['mnt', 'net', 'ipc', 'uts', 'cgroup', 'pid_for_children'] as const;

/** What a thread can have apart from the others of its process (unshare(2), setns(2)). */
export const threadsApart = domainKind<null>({
  name: 'threads apart',
  keeps: 'nothing: threads of a process share their descriptors, working directory and namespaces',
  refuses: 'a thread with descriptors, a working directory or namespaces of its own',
  async describe({ hands, views }) {
    const others = views.flatMap((v) =>
      v.threads.filter((t) => t.hostTid !== v.hostPid).map((thread) => ({ process: v, thread })),
    );
    if (others.length === 0) return;
    const found = await askAll(hands, others, NAMESPACES.length + 2, (b, { process, thread }) => {
      const compare = (what: number) => b.call(SYS.kcmp, process.hostPid, thread.hostTid, what, 0, 0);
      const [files, fs] = [compare(KCMP.FILES), compare(KCMP.FS)];
      const links = NAMESPACES.map((name) => {
        const buf = b.out(64);
        const path = b.str(`/proc/${process.hostPid}/task/${thread.hostTid}/ns/${name}`);
        return { buf, n: b.call(SYS.readlinkat, AT_FDCWD, path, buf, 64) };
      });
      return (r) => ({
        files: r.value(files),
        fs: r.value(fs),
        links: links.map(({ buf, n }) => new TextDecoder().decode(r.bytes(buf, Math.max(0, r.value(n))))),
      });
    });
    const apart = found.flatMap(({ files, fs, links }, i) => {
      const { process, thread } = others[i] ?? {};
      // A comparison with a thread that has ended fails.
      if (process === undefined || thread === undefined || files < 0 || fs < 0) return [];
      const what = whatIsApart(files, fs, links, process.namespaces);
      return what === undefined ? [] : [{ what, process, thread }];
    });
    if (apart.length === 0) return;
    // One that is ending has let go of what it shares: nobody will ever ask it.
    const stats = await readTexts(
      hands,
      apart.flatMap(({ process: { hostPid }, thread }) =>
        [hostPid, thread.hostTid].map((tid) => `/proc/${hostPid}/task/${tid}/stat`),
      ),
      1,
    );
    apart.forEach(({ what, process, thread }, i) => {
      const own = stats.slice(2 * i, 2 * i + 2);
      if (own.every((text) => text !== undefined && text !== '' && !parseProcStat(text).isEnding))
        throw unsupported(what, `thread ${thread.tid} of process ${process.pid}`);
    });
  },
  checkpoint: () => Promise.resolve(null),
  restore: () => Promise.resolve(),
});

/** `files`, `fs`: how they compare, 0 if they are the same. `links`: to namespaces, in the order of {@link NAMESPACES}. */
function whatIsApart(
  files: number,
  fs: number,
  links: readonly string[],
  namespaces: ProcessView['namespaces'],
): string | undefined {
  if (files > 0) return "descriptors of a thread's own";
  if (fs > 0) return "a working directory of a thread's own";
  // A PID namespace that has no process yet has no link.
  const other = NAMESPACES.find((name, k) => links[k] !== namespaces[name]);
  return other === undefined ? undefined : `a ${other.replace('_for_children', '')} namespace of a thread's own`;
}
