import { SYS } from '../../guest/hands/syscalls.js';
import type { HostEnd } from '../tree/host-ends.js';
import { closeEnds } from '../tree/host-ends.js';
import { F } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { hostEndId } from '../checkpoint/host-ends.js';
import { domainKind } from './kind.js';

/** What the host has of it stays the host's: the files themselves are kept as any other (checkpoint/host-ends.ts). */
export const hostEnds = domainKind<readonly HostEnd[]>({
  name: 'what the host has of it',
  keeps: 'the pipe that is its standard input and the terminal that the host gave it, with what was typed and shown',
  checkpoint: ({ anchor }) => Promise.resolve([...anchor.ends.keys()]),
  restore: () => Promise.resolve(),
  async finish({ hands, anchor, fileFds, undo }, ends) {
    if (ends.length === 0) return;
    undo.add("closing the host's ends", () => closeEnds(anchor));
    const b = hands.batch();
    const own = ends.map((end) => {
      const fd = fileFds.get(hostEndId(end)) ?? -1;
      return { end, fd: b.call(SYS.fcntl, fd, F.DUPFD_CLOEXEC, 0) };
    });
    const r = await b.run();
    for (const { end, fd } of own) anchor.ends.set(end, check(r.value(fd), "keeping the host's end"));
  },
});
