import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, CLONE, O } from '../linux/flags.js';
import { inside } from '../linux/inside.js';
import { making, whileOpen } from '../linux/making.js';
import { check, open } from '../linux/os.js';
import { HANDS_FD } from '../tree/anchor.js';
import { spaceSort } from './space.js';

/** Cgroup namespaces of which the root is the domain's own cgroup. */
export const cgroup = spaceSort<null>({
  name: 'cgroup',
  flag: CLONE.NEWCGROUP,
  async look({ hands, anchor }, at) {
    // How the cgroup that the first process of the domain began in looks from there.
    const shown = await inside(hands, at, CLONE.NEWCGROUP, (b) => {
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/${anchor.pid}/cgroup`), O.RDONLY | O.CLOEXEC, 0);
      const buf = b.out(4096);
      const n = b.call(SYS.read, fd, buf, 4096);
      b.call(SYS.close, fd);
      return (r) => new TextDecoder().decode(r.bytes(buf, check(r.value(n), 'reading a cgroup')));
    });
    if (!/^0::\/$/m.test(shown))
      throw unsupported('a cgroup namespace with another root than the domain’s own', 'the domain');
    return null;
  },
  give: () => Promise.resolve(),
  make: makeCgroupSpace,
});

/** Has the first process of the domain make one: its root is the cgroup of who makes it. */
function makeCgroupSpace({ hands, anchor }: RestoreContext): Promise<number> {
  const at = `/proc/${anchor.pid}/ns/cgroup`;
  return making(hands, async (note) => {
    const back = await open(hands, at, O.RDONLY);
    return whileOpen(hands, back, async () => {
      check(await anchor.tracee.syscall(SYS.unshare, CLONE.NEWCGROUP), 'making a cgroup namespace');
      const made = note(await open(hands, at, O.RDONLY));
      const b = anchor.tracee.batch();
      const got = b.call(SYS.pidfd_getfd, HANDS_FD, back, 0);
      const left = b.call(SYS.setns, got, CLONE.NEWCGROUP);
      b.call(SYS.close, got);
      check((await b.run()).value(left), 'coming back from a cgroup namespace');
      return made;
    });
  });
}
