import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { KCMP } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { epollEntries, type EpollEntry } from '../../proc/fdinfo.js';
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

/** Questions put at a time, as long as one entry has no more. */
const ASKED_AT_ONCE = 10_000;

interface Known {
  readonly byInode: ReadonlyMap<number, OpenFile[]>;
  /** By {@link useOf}. */
  readonly byUse: ReadonlyMap<string, OpenFile>;
}

const useOf = (pid: number, fd: number): string => `${pid} ${fd}`;

const known = new WeakMap<readonly OpenFile[], Known>();

function knownOf(files: readonly OpenFile[]): Known {
  const before = known.get(files);
  if (before !== undefined) return before;
  const byInode = new Map<number, OpenFile[]>();
  const byUse = new Map<string, OpenFile>();
  for (const f of files) {
    const { ino } = f.view.info;
    const others = byInode.get(ino);
    if (others === undefined) byInode.set(ino, [f]);
    else others.push(f);
    for (const { pid, fd } of f.users) byUse.set(useOf(pid, fd), f);
  }
  const now = { byInode, byUse };
  known.set(files, now);
  return now;
}

/**
 * What an epoll set watches. The kernel tells the number by which a thing was added, and its inode, which several files may
 * share (all that have no inode of their own, both ends of a pipe); where that leaves a doubt, kcmp(2) tells.
 */
export async function findWatched({ hands, files }: LookContext, set: OpenFile): Promise<Watched[]> {
  const entries = epollEntries(set.view.info);
  const owner = set.users[0]?.pid ?? -1;
  const { byInode, byUse } = knownOf(files);
  const counts = new Map<number, number>();
  const open = entries.map((entry) => {
    const nth = counts.get(entry.tfd) ?? 0;
    counts.set(entry.tfd, nth + 1);
    const used = byUse.get(useOf(owner, entry.tfd));
    const own = used?.view.info.ino === entry.ino ? used : undefined;
    return { entry, nth, candidates: byInode.get(entry.ino) ?? [], own };
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
  const rest = doubtful.filter((o) => !settled.has(o));
  const out = new Map<EpollEntry, string>();
  while (rest.length > 0) {
    let asked = 0;
    const more = rest.findIndex((o, i) => (asked += o.candidates.length) > ASKED_AT_ONCE && i > 0);
    const some = rest.splice(0, more < 0 ? rest.length : more);
    const found = await areWatched(
      hands,
      set,
      some.flatMap((o) => o.candidates.map((file) => about(o, file))),
    );
    let first = 0;
    for (const { entry, candidates } of some) {
      const file = candidates.find((_, i) => found[first + i]);
      first += candidates.length;
      if (file === undefined)
        throw unsupported('an epoll set that watches what no process has open', `descriptor ${set.view.fd}`);
      out.set(entry, file.id);
    }
  }
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
