import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../linux/flags.js';
import { check, isFound } from '../linux/os.js';
import { objectKey } from '../memory/layout.js';

export const S_IFMT = 0o170000;
export const S_IF = {
  SOCK: 0o140000,
  LNK: 0o120000,
  REG: 0o100000,
  BLK: 0o060000,
  DIR: 0o040000,
  CHR: 0o020000,
  FIFO: 0o010000,
} as const;

const TMPFS_MAGIC = 0x01021994;
const RAMFS_MAGIC = 0x858458f6;
/** The longest list of names of extended attributes that is asked for (or target of a link), and the longest value. */
const MOST_NAMES = 0x1000;
const MOST_VALUE = 0x10000;

/** Whether files of a file system are pages of memory and nothing else. `statfs`: a `struct statfs`. */
export function isInMemory(statfs: DataView): boolean {
  const magic = Number(statfs.getBigUint64(0, true));
  return magic === TMPFS_MAGIC || magic === RAMFS_MAGIC;
}

/** Key of a file, as the one of a mapping of it; `dev` and `ino` as stat(2) tells them. */
export function inodeKey(dev: bigint, ino: bigint): string {
  // As the kernel encodes a device number for user space: minor in bits 0-7 and 20-31, major in 8-19.
  const major = Number((dev >> 8n) & 0xfffn);
  const minor = Number((dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
  const hex = (x: number): string => x.toString(16).padStart(2, '0');
  return objectKey({ dev: `${hex(major)}:${hex(minor)}`, ino: Number(ino) });
}

/** What a file is, but for its names and contents. Plain data. */
export interface Inode {
  /** See {@link inodeKey}. */
  readonly key: string;
  readonly ino: number;
  /** Type and permissions. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device node, as stat(2) tells it. */
  readonly rdev: number;
  readonly size: number;
  /** Of 512 bytes: a file with holes has fewer than its size tells. */
  readonly blocks: number;
  /** Two of `struct timespec`: last access, last change of contents. */
  readonly times: Uint8Array;
  readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
  /** Where a symbolic link leads. */
  readonly target: string | undefined;
  /** Its contents are pages of memory and nothing else. */
  readonly inMemory: boolean;
}

export const typeOf = (inode: { readonly mode: number }): number => inode.mode & S_IFMT;

/** Looks at a file by any descriptor of the hands. Throws `guest`. `follow`: where a symbolic link leads is asked too. */
export async function lookAtInode(hands: Hands, fd: number, what: string, follow = false): Promise<Inode> {
  const b = hands.batch();
  const [stat, fs, names, target] = [b.out(128), b.out(120), b.out(MOST_NAMES), b.out(MOST_NAMES)];
  const looked = b.call(SYS.fstat, fd, stat);
  const fsLooked = b.call(SYS.fstatfs, fd, fs);
  // Works for descriptors that are only a place (O_PATH) too.
  const path = `/proc/self/fd/${fd}`;
  const listed = b.call(SYS.listxattr, b.str(path), names, MOST_NAMES);
  const led = follow ? b.call(SYS.readlinkat, fd, b.str(''), target, MOST_NAMES) : undefined;
  const then = b.out(led === undefined ? 0 : 128);
  if (led !== undefined) b.call(SYS.fstat, fd, then);
  const r = await b.run();
  check(r.value(looked), `looking at ${what}`);
  check(r.value(fsLooked), `looking at the file system of ${what}`);
  const view = r.view(stat);
  const mode = view.getUint32(16, true);
  const times = timesIn(view);
  if (led !== undefined && r.value(led) >= 0 && !isSame(times, timesIn(r.view(then))))
    await putBack(hands, fd, times, what);
  const list = isFound(r.value(listed), `listing attributes of ${what}`) ? r.bytes(names, r.value(listed)) : undefined;
  return {
    key: inodeKey(view.getBigUint64(0, true), view.getBigUint64(8, true)),
    ino: Number(view.getBigUint64(8, true)),
    mode,
    nlink: view.getUint32(20, true),
    uid: view.getUint32(24, true),
    gid: view.getUint32(28, true),
    rdev: Number(view.getBigUint64(32, true)),
    size: Number(view.getBigInt64(48, true)),
    blocks: Number(view.getBigUint64(64, true)),
    times,
    xattrs: await readXattrs(hands, path, list, what),
    target:
      led !== undefined && (mode & S_IFMT) === S_IF.LNK
        ? utf8.decode(r.bytes(target, check(r.value(led), what)))
        : undefined,
    inMemory: isInMemory(r.view(fs)),
  };
}

const utf8 = new TextDecoder();

/** Of a `struct stat`: last access and last change of contents, as utimensat(2) takes them. */
const timesIn = (stat: DataView): Uint8Array => new Uint8Array(stat.buffer, stat.byteOffset + 72, 32).slice();
const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);

/** Gives a file the times it had before we read it. */
async function putBack(hands: Hands, fd: number, times: Uint8Array, what: string): Promise<void> {
  const b = hands.batch();
  const set = b.call(SYS.utimensat, fd, b.str(''), b.bytes(times), AT_EMPTY_PATH);
  check((await b.run()).value(set), `putting back the times of ${what}`);
}

/** Puts back when a file was last read, where a reading of ours has changed that. `fd`: any descriptor of the hands for it. */
export async function putBackTimes(hands: Hands, fd: number, { times }: Inode, what: string): Promise<void> {
  const b = hands.batch();
  const stat = b.out(128);
  const looked = b.call(SYS.fstat, fd, stat);
  const r = await b.run();
  check(r.value(looked), `looking at ${what}`);
  if (!isSame(times, timesIn(r.view(stat)))) await putBack(hands, fd, times, what);
}

async function readXattrs(
  hands: Hands,
  path: string,
  list: Uint8Array | undefined,
  what: string,
): Promise<Inode['xattrs']> {
  const names = utf8
    .decode(list)
    .split('\0')
    .filter((n) => n !== '');
  if (names.length === 0) return [];
  const b = hands.batch();
  const reads = names.map((name) => {
    const buf = b.out(names.length > 4 ? MOST_NAMES : MOST_VALUE);
    return { name, buf, n: b.call(SYS.getxattr, b.str(path), b.str(name), buf, buf.length) };
  });
  const r = await b.run();
  return reads.map(({ name, buf, n }) => ({
    name,
    value: r.bytes(buf, check(r.value(n), `reading the attribute ${name} of ${what}`)),
  }));
}

/** Gives a file the owner, permissions and attributes it had. `path`: of the hands. */
export async function dressInode(
  hands: Hands,
  path: string,
  inode: Inode,
  links: 'followed' | 'as they are' = 'as they are',
): Promise<void> {
  const b = hands.batch();
  const [flags, setxattr] = links === 'followed' ? [0, SYS.setxattr] : [AT_SYMLINK_NOFOLLOW, SYS.lsetxattr];
  const refs = [b.call(SYS.fchownat, AT_FDCWD, b.str(path), inode.uid, inode.gid, flags)];
  // Some permissions are taken away by a change of owner, so they come after it.
  if (typeOf(inode) !== S_IF.LNK) refs.push(b.call(SYS.fchmodat, AT_FDCWD, b.str(path), inode.mode & 0o7777));
  for (const { name, value } of inode.xattrs)
    refs.push(b.call(setxattr, b.str(path), b.str(name), b.bytes(value), value.length, 0));
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), `giving ${path} its owner and attributes`);
}

/** Gives a file the times it had. `path`: of the hands. */
export async function setTimes(hands: Hands, path: string, inode: Inode, follow: boolean): Promise<void> {
  const b = hands.batch();
  const flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
  const set = b.call(SYS.utimensat, AT_FDCWD, b.str(path), b.bytes(inode.times), flags);
  check((await b.run()).value(set), `setting the times of ${path}`);
}
