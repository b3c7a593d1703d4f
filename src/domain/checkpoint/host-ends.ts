/** Open files that the host has of a domain, and none of its processes: they go along like any other. */
import { SYS } from '../../guest/hands/syscalls.js';
import type { LookContext, OpenFile } from '../kinds/kind.js';
import { F } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check, readLinks, readTexts } from '../linux/os.js';
import { parseFdInfo } from '../proc/fdinfo.js';
import { together } from '../together.js';
import type { HostEnd } from '../tree/host-ends.js';

/** What the open file is called in a checkpoint. */
export const hostEndId = (end: HostEnd): string => `host ${end}`;

/** Holds them by descriptors of their own, which the caller closes. */
export async function holdHostEnds({ hands, anchor }: LookContext): Promise<OpenFile[]> {
  const ends = [...anchor.ends];
  if (ends.length === 0) return [];
  const b = hands.batch();
  const refs = ends.map(([, fd]) => b.call(SYS.fcntl, fd, F.DUPFD_CLOEXEC, 0));
  const r = await b.run();
  const held = refs.map((ref) => r.value(ref));
  try {
    for (const fd of held) check(fd, "holding the host's end");
    const [links, infos] = await together([
      readLinks(
        hands,
        held.map((fd) => `/proc/self/fd/${fd}`),
      ),
      readTexts(
        hands,
        held.map((fd) => `/proc/self/fdinfo/${fd}`),
        1,
      ),
    ]);
    return ends.map(([end], i) => ({
      id: hostEndId(end),
      view: { fd: held[i] ?? -1, link: links[i] ?? '', deleted: false, info: parseFdInfo(infos[i] ?? '') },
      held: held[i] ?? -1,
      users: [],
    }));
  } catch (e) {
    await closeAll(hands, held);
    throw e;
  }
}
