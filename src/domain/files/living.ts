import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { closeAll, whileOpen } from '../linux/making.js';
import { check } from '../linux/os.js';
import { together } from '../together.js';
import { readPieces, writePieces, type Piece } from './extents.js';
import { dressInode, inodeKey, lookAtInode, putBackTimes, type Inode } from './inode.js';

/** What is read together with the opening of a file. */
const SMALL = 0x10000;

/** A file that is there by a name, and goes along. Plain data. */
export interface Living {
  readonly path: string;
  readonly inode: Inode;
  readonly pieces: readonly Piece[];
  /** Its other names. */
  readonly names: readonly string[];
}

/** Files that domains have had, by OS instance: what is left of one there is no other's. */
const carriedBefore = new WeakMap<Hands, Set<string>>();

/** Notes that a domain has a file, or had one. */
export function noteCarried(hands: Hands, path: string): void {
  const paths = carriedBefore.get(hands) ?? new Set();
  carriedBefore.set(hands, paths.add(path));
}

/** Whether a file in an OS instance is what a domain has left there. */
export const wasCarried = (hands: Hands, path: string): boolean => carriedBefore.get(hands)?.has(path) === true;

/** A folder that something lies in that goes along. Plain data. */
export interface Folder {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Looks at what there is of these paths, with a descriptor of the hands for its place as long as `work` takes. `root`: the domain's, as a path of the hands. */
export async function withPlaces<T>(
  hands: Hands,
  root: string,
  paths: readonly string[],
  work: (places: readonly { readonly path: string; readonly fd: number; readonly inode: Inode }[]) => Promise<T>,
): Promise<T> {
  const fds = await askAll(hands, paths, 1, (b, path) => {
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(root + path), O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
    return (r) => r.value(fd);
  });
  try {
    const looked = paths.map(async (path, i) => {
      const fd = fds[i] ?? -1;
      return fd < 0 ? undefined : { path, fd, inode: await lookAtInode(hands, fd, path) };
    });
    return await work((await together(looked)).filter((l) => l !== undefined));
  } finally {
    await closeAll(hands, fds);
  }
}

/** The contents of a file that nobody may open, by a descriptor of the domain's own. */
export async function readThrough(hands: Hands, of: Holder, inode: Inode, what: string): Promise<readonly Piece[]> {
  const b = hands.batch();
  const pidfd = b.must(SYS.pidfd_open, of.hostPid, 0);
  const got = b.call(SYS.pidfd_getfd, pidfd, of.fd, 0);
  b.call(SYS.close, pidfd);
  const fd = check((await b.run()).value(got), `holding ${what}`);
  // Its offset is the domain's: it is not looked for holes.
  const pieces: Piece[] = [];
  return whileOpen(hands, fd, async () => {
    for (let at = 0; at < inode.size; at += SMALL) {
      const c = hands.batch();
      const buf = c.out(Math.min(SMALL, inode.size - at));
      const n = c.call(SYS.pread64, fd, buf, buf.length, at);
      const r = await c.run();
      pieces.push({ at, bytes: r.bytes(buf, check(r.value(n), `reading ${what}`)) });
    }
    await putBackTimes(hands, fd, inode, what);
    return pieces;
  });
}

/** Who has a file open. */
export interface Holder {
  readonly hostPid: number;
  readonly fd: number;
}

/** The contents of a regular file. `place`: a descriptor of the hands for it, by which nothing can be read. */
export async function readContents(hands: Hands, place: number, inode: Inode, what: string): Promise<readonly Piece[]> {
  const b = hands.batch();
  // Nobody shall see that it was read.
  const flags = O.RDONLY | O.NONBLOCK | O.NOATIME | O.CLOEXEC;
  const opened = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${place}`), flags, 0);
  const small = inode.size <= SMALL && inode.blocks * 512 >= inode.size;
  const buf = b.out(small ? inode.size : 0);
  const got = small ? b.call(SYS.pread64, opened, buf, buf.length, 0) : undefined;
  const r = await b.run();
  const fd = check(r.value(opened), `opening ${what}`);
  return whileOpen(hands, fd, async () => {
    if (got === undefined) return readPieces(hands, fd, inode.size, what);
    const bytes = r.bytes(buf, check(r.value(got), `reading ${what}`));
    return bytes.length === 0 ? [] : [{ at: 0, bytes }];
  });
}

/** The folders that paths lie in, outermost first. */
export async function foldersOf(hands: Hands, root: string, paths: readonly string[]): Promise<Folder[]> {
  const folders = new Set<string>();
  for (const path of paths)
    for (let slash = path.indexOf('/', 1); slash > 0; slash = path.indexOf('/', slash + 1))
      folders.add(path.slice(0, slash));
  const looked = await askAll(hands, [...folders].sort(), 1, (b, path) => {
    const stat = b.out(128);
    const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(root + path), stat, 0);
    return (r) => {
      const view = r.view(stat);
      const [mode, uid, gid] = [16, 24, 28].map((at) => view.getUint32(at, true));
      return r.value(n) < 0 ? undefined : { path, mode: mode ?? 0, uid: uid ?? 0, gid: gid ?? 0 };
    };
  });
  return looked.filter((f) => f !== undefined);
}

/** Makes folders that are missing, outermost first. */
export async function putFolders(hands: Hands, root: string, folders: readonly Folder[]): Promise<void> {
  const made = await askAll(hands, folders, 1, (b, { path }) => {
    const n = b.call(SYS.mkdirat, AT_FDCWD, b.str(root + path), 0o700);
    return (r) => r.value(n) >= 0;
  });
  await askAll(
    hands,
    folders.filter((_, i) => made[i]),
    2,
    (b, { path, mode, uid, gid }) => {
      b.call(SYS.fchownat, AT_FDCWD, b.str(root + path), uid, gid, 0);
      const done = b.call(SYS.fchmodat, AT_FDCWD, b.str(root + path), mode & 0o7777);
      return (r) => check(r.value(done), `making the folder ${path}`);
    },
  );
}

/** Makes a file by its names, or gives its contents to the one that is there. */
export async function putLiving(hands: Hands, root: string, living: Living): Promise<void> {
  const { path, inode, names } = living;
  noteCarried(hands, path);
  const at = root + path;
  const look = hands.batch();
  const stat = look.out(128);
  const there = look.call(SYS.newfstatat, AT_FDCWD, look.str(at), stat, AT_SYMLINK_NOFOLLOW);
  const found = await look.run();
  const b = hands.batch();
  // Another name of a file that is there shall not get these contents too.
  if (found.value(there) >= 0 && found.view(stat).getUint32(20, true) > 1) b.call(SYS.unlinkat, AT_FDCWD, b.str(at), 0);
  const flags = O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW | O.NONBLOCK | O.CLOEXEC;
  const opened = b.call(SYS.openat, AT_FDCWD, b.str(at), flags, 0o600);
  const fd = check((await b.run()).value(opened), `making ${path}`);
  try {
    await writePieces(hands, fd, inode.size, living.pieces, path);
    await dressInode(hands, at, inode);
    for (const name of names) await putName(hands, root, path, name);
  } finally {
    await closeAll(hands, [fd]);
  }
}

/** Gives a file another name, whatever that leads to now. */
async function putName(hands: Hands, root: string, path: string, name: string): Promise<void> {
  const spare = `${root}${name.slice(0, name.lastIndexOf('/'))}/.understudy-link`;
  const b = hands.batch();
  const [file, there] = [b.out(128), b.out(128)];
  b.call(SYS.newfstatat, AT_FDCWD, b.str(root + path), file, AT_SYMLINK_NOFOLLOW);
  const found = b.call(SYS.newfstatat, AT_FDCWD, b.str(root + name), there, AT_SYMLINK_NOFOLLOW);
  const r = await b.run();
  const keyOf = (v: DataView): string => inodeKey(v.getBigUint64(0, true), v.getBigUint64(8, true));
  if (r.value(found) >= 0 && keyOf(r.view(file)) === keyOf(r.view(there))) return;
  const c = hands.batch();
  c.call(SYS.unlinkat, AT_FDCWD, c.str(spare), 0);
  c.must(SYS.linkat, AT_FDCWD, c.str(root + path), AT_FDCWD, c.str(spare), 0);
  const renamed = c.call(SYS.renameat2, AT_FDCWD, c.str(spare), AT_FDCWD, c.str(root + name), 0);
  if ((await c.run()).value(renamed) < 0) throw new DomainError('guest', `cannot give ${path} its other name ${name}`);
}
