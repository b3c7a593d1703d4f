import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { Batch, BatchResult, Ref } from '../../guest/hands/batch.js';
import { DomainError } from '../errors.js';
import { S_IF, typeOf } from '../files/inode.js';
import { AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, EEXIST, ENOENT, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { timespecOf } from '../linux/timespec.js';
import { inBatches } from './in-batches.js';
import { fileAt, isSame, type FileTree, type TreeFile } from './tree.js';

const depth = (path: string): number => (path === '' ? 0 : path.split('/').length);
/** All its names can be given when folders above have theirs. */
const deepest = (f: TreeFile): number => Math.max(...f.paths.map(depth));
const isFolder = (f: TreeFile): boolean => typeOf(f) === S_IF.DIR;
const key = (f: TreeFile): string =>
  JSON.stringify([
    f.ino,
    typeOf(f),
    f.rdev.toString(),
    f.target,
    f.paths,
    isFolder(f) ? [] : f.attributes.map(([name]) => name),
  ]);

/** What of a tree is to be made, where another is there. */
export interface Difference {
  readonly gone: readonly TreeFile[];
  readonly made: readonly TreeFile[];
  /** There, and not what they were: to get owners, modes, attributes and times. */
  readonly changed: readonly TreeFile[];
  /** Those of them that may have other contents. */
  readonly rewritten: readonly TreeFile[];
}

export function compareTrees(before: FileTree | undefined, now: FileTree): Difference {
  const there = new Map(before?.files.map((f) => [key(f), f]));
  const still = new Set(now.files.map(key));
  const touched = new Set(now.touched);
  const made: TreeFile[] = [];
  const changed: TreeFile[] = [];
  const rewritten: TreeFile[] = [];
  for (const f of now.files) {
    const old = there.get(key(f));
    const top = f.paths[0] === '' && isFolder(f);
    if (old === undefined && !top) made.push(f);
    else if (old === undefined) changed.push(f);
    else {
      const other = !isSame(old, f) || touched.has(f.ino);
      if (other || old.atime !== f.atime) changed.push(f);
      if (other && typeOf(f) === S_IF.REG) rewritten.push(f);
    }
  }
  return { gone: before?.files.filter((f) => !still.has(key(f)) && f.paths[0] !== '') ?? [], made, changed, rewritten };
}

/**
 * Makes of what is below a descriptor of the hands what a tree holds, contents of large files aside. `over`: what is to be
 * made may be there, as it shows through from below. Throws `guest`.
 */
export async function plantTree(
  hands: Hands,
  fd: number,
  { gone, made, rewritten }: Difference,
  over = false,
): Promise<void> {
  const leaving = gone.flatMap((f) => f.paths.map((path) => ({ path, folder: isFolder(f) })));
  leaving.sort((a, b) => depth(b.path) - depth(a.path));
  await inBatches(
    hands,
    leaving,
    ({ path }) => path.length,
    (b, { path, folder }) => {
      const n = b.call(SYS.unlinkat, fd, b.str(path), folder ? AT_REMOVEDIR : 0);
      return (r) => {
        if (r.value(n) !== -ENOENT) check(r.value(n), `removing ${path}`);
      };
    },
  );
  // A file system in memory shows what is newest first. Whoever reads a folder at this moment knows names by their order.
  const inOrder = [...made].reverse().sort((a, b) => deepest(a) - deepest(b));
  await inBatches(hands, inOrder, bytesOf, (b, f) =>
    isFolder(f) ? addFolder(b, fd, f, over) : addFile(b, fd, f, over),
  );
  await inBatches(hands, rewritten, bytesOf, (b, f) => {
    const [path = ''] = f.paths;
    const opened = b.call(SYS.openat, fd, b.str(path), O.WRONLY | O.TRUNC | O.NOFOLLOW | O.CLOEXEC, 0);
    const wrote = addContents(b, opened, f);
    return (r) => {
      check(r.value(opened), `opening ${path}`);
      wrote(r, path);
    };
  });
}

type Answer = (r: BatchResult) => void;

function addFolder(b: Batch, fd: number, { paths: [path = ''] }: TreeFile, over: boolean): Answer {
  const n = b.call(SYS.mkdirat, fd, b.str(path), 0o700);
  return (r) => {
    if (!over || r.value(n) !== -EEXIST) check(r.value(n), `making ${path}`);
  };
}

function addFile(b: Batch, fd: number, f: TreeFile, over: boolean): Answer {
  const [path = '', ...others] = f.paths;
  const name = b.str(path);
  for (const other of over ? f.paths : []) b.call(SYS.unlinkat, fd, b.str(other), 0);
  const made =
    typeOf(f) === S_IF.REG
      ? b.call(SYS.openat, fd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW | O.CLOEXEC, 0o600)
      : typeOf(f) === S_IF.LNK
        ? b.call(SYS.symlinkat, b.str(f.target ?? ''), fd, name)
        : b.call(SYS.mknodat, fd, name, f.mode, f.rdev);
  const wrote = typeOf(f) === S_IF.REG ? addContents(b, made, f) : undefined;
  const linked = others.map((other) => b.call(SYS.linkat, fd, name, fd, b.str(other), 0));
  return (r) => {
    check(r.value(made), `making ${path}`);
    wrote?.(r, path);
    for (const n of linked) check(r.value(n), `linking ${path}`);
  };
}

/** Adds the contents of a small file, or the size of a large one, and closes it. What it came to is told to the answer. */
export function addContents(b: Batch, opened: Ref, f: TreeFile): (r: BatchResult, path: string) => void {
  const c = f.contents ?? new Uint8Array(0);
  const wrote =
    c.length === 0 ? b.call(SYS.ftruncate, opened, f.size) : b.call(SYS.pwrite64, opened, b.bytes(c), c.length, 0);
  b.call(SYS.close, opened);
  return (r, path) => {
    if (check(r.value(wrote), `writing ${path}`) !== c.length)
      throw new DomainError('guest', `there is no room for ${path}`);
  };
}

const bytesOf = (f: TreeFile): number =>
  (f.contents?.length ?? 0) + f.paths.reduce((n, p) => n + p.length, f.target?.length ?? 0);

/** Owners, modes, attributes and times of files that have their contents. */
export async function dressTree(
  hands: Hands,
  fd: number,
  { made, changed }: Pick<Difference, 'made' | 'changed'>,
): Promise<void> {
  const cost = (f: TreeFile): number => 64 + f.attributes.reduce((n, [, v]) => n + v.length + 300, 200);
  await inBatches(hands, [...made, ...changed], cost, (b, f) => {
    const [path = ''] = f.paths;
    // The top, a folder or not, is reached through a link of /proc, which is to be followed.
    const top = path === '';
    const [from, name] = top ? [AT_FDCWD, b.str(fileAt(fd, f))] : [fd, b.str(path)];
    const flags = top ? 0 : AT_SYMLINK_NOFOLLOW;
    const calls = [b.call(SYS.fchownat, from, name, f.uid, f.gid, flags)];
    if (typeOf(f) !== S_IF.LNK) calls.push(b.call(SYS.fchmodat, from, name, f.mode & 0o7777));
    const setxattr = top ? SYS.setxattr : SYS.lsetxattr;
    for (const [attribute, value] of f.attributes)
      calls.push(b.call(setxattr, b.str(fileAt(fd, f)), b.str(attribute), b.bytes(value), value.length, 0));
    const times = new BigInt64Array([f.atime, f.mtime].flatMap(timespecOf));
    calls.push(b.call(SYS.utimensat, from, name, b.bytes(new Uint8Array(times.buffer)), flags));
    return (r) => {
      for (const n of calls) check(r.value(n), `giving ${path} its owner, mode, attributes and times`);
    };
  });
}
