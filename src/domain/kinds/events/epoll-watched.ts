import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { KCMP } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { epollEntries, type EpollEntry } from '../../proc/fdinfo.js';
import { together } from '../../together.js';
import type { LookContext, OpenFile } from '../kind.js';

/** An entry of an epoll set, and what it watches. */
export interface Watched extends EpollEntry {
  /** The id of the file, if it is not the one that the set's first owner has by that number. */
  readonly file?: string;
}

/** A question: is this entry about this file? */
interface Asked {
  /** Which of the entries with this number it is: several may be added by the same one, after another was closed. */
  readonly nth: number;
  readonly tfd: number;
  readonly file: OpenFile;
}

const byInode = new WeakMap<readonly OpenFile[], Map<number, OpenFile[]>>();

function filesByInode(files: readonly OpenFile[]): Map<number, OpenFile[]> {
  const known = byInode.get(files);
  if (known !== undefined) return known;
  const out = new Map<number, OpenFile[]>();
  for (const f of files) {
    const { ino } = f.view.info;
    const others = out.get(ino);
    if (others === undefined) out.set(ino, [f]);
    else others.push(f);
  }
  byInode.set(files, out);
  return out;
}

/**
 * What an epoll set watches. The kernel tells the number by which a thing was added, and its inode, which several files may
 * share (all that have no inode of their own, both ends of a pipe); where that leaves a doubt, kcmp(2) tells.
 */
export async function findWatched({ hands, files }: LookContext, set: OpenFile): Promise<Watched[]> {
  const entries = epollEntries(set.view.info);
  const owner = set.users[0]?.pid ?? -1;
  const inodes = filesByInode(files);
  const counts = new Map<number, number>();
  const open = entries.map((entry) => {
    const nth = counts.get(entry.tfd) ?? 0;
    counts.set(entry.tfd, nth + 1);
    const candidates = inodes.get(entry.ino) ?? [];
    const own = candidates.find((f) => f.users.some((u) => u.pid === owner && u.fd === entry.tfd));
    return { entry, nth, candidates, own };
  });
  const doubtful = open.filter((o) => o.own === undefined || o.candidates.length > 1);
  const about = ({ entry: { tfd }, nth }: (typeof open)[number], file: OpenFile): Asked => ({ nth, tfd, file });
  // First what is most likely.
  const likely = doubtful.filter((o) => o.own !== undefined);
  const answers = await areWatched(
    hands,
    set,
    likely.flatMap((o) => (o.own === undefined ? [] : [about(o, o.own)])),
  );
  const settled = new Set(likely.filter((_, i) => answers[i]));
  const out = new Map<EpollEntry, string>();
  await together(
    doubtful
      .filter((o) => !settled.has(o))
      .map(async (o) => {
        const found = await areWatched(
          hands,
          set,
          o.candidates.map((file) => about(o, file)),
        );
        const file = o.candidates.find((_, i) => found[i]);
        if (file === undefined)
          throw unsupported('an epoll set that watches what no process has open', `descriptor ${set.view.fd}`);
        out.set(o.entry, file.id);
      }),
  );
  return entries.map((entry) => {
    const file = out.get(entry);
    return file === undefined ? entry : { ...entry, file };
  });
}

/** Which of these are so. */
function areWatched(hands: Hands, set: OpenFile, all: readonly Asked[]): Promise<boolean[]> {
  return askAll(hands, all, 2, (b, { nth, tfd, file }) => {
    // struct kcmp_epoll_slot: efd, tfd, toff; u32 each.
    const slot = b.bytes(new Uint8Array(new Uint32Array([set.held, tfd, nth]).buffer));
    const self = b.call(SYS.getpid);
    const n = b.call(SYS.kcmp, self, self, KCMP.EPOLL_TFD, file.held, slot);
    return (r) => check(r.value(n), 'looking at what an epoll set watches') === 0;
  });
}
