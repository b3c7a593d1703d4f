import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { AT_FDCWD, KCMP } from '../../linux/flags.js';
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
        links: links.map(({ buf, n }) => new TextDecoder().decode(r.bytes(buf, r.value(n)))),
      });
    });
    found.forEach(({ files, fs, links }, i) => {
      const { process, thread } = others[i] ?? {};
      if (process === undefined || thread === undefined) return;
      const where = `thread ${thread.tid} of process ${process.pid}`;
      // A comparison with a thread that has ended fails.
      if (files < 0 || fs < 0) return;
      if (files > 0) throw unsupported("descriptors of a thread's own", where);
      if (fs > 0) throw unsupported("a working directory of a thread's own", where);
      links.forEach((link, k) => {
        const name = NAMESPACES[k] ?? '';
        // A PID namespace that has no process yet has no link.
        if (link !== process.namespaces[name])
          throw unsupported(`a ${name.replace('_for_children', '')} namespace of a thread's own`, where);
      });
    });
  },
  checkpoint: () => Promise.resolve(null),
  restore: () => Promise.resolve(),
});
