/** What a file system, or a part of it, holds: files with all that belongs to them, as plain data. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { S_IF, typeOf } from '../files/inode.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { check, isFound, readDirs, readLinks } from '../linux/os.js';
import { together } from '../together.js';
import { TICKS } from './file-time.js';

/** A file as statx(2) shows it. Times in nanoseconds. */
export interface FileFacts {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: bigint;
  readonly size: number;
  /** Bytes that it takes. */
  readonly room: number;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly btime: bigint;
  readonly dev: string;
  /** Those of {@link KEPT_FLAGS}. */
  readonly flags: number;
}

/** One file, under all its names. */
export interface TreeFile extends FileFacts {
  /** From the top of the tree, without a slash at the start; '' is the top itself. */
  readonly paths: readonly string[];
  /** Of a symbolic link. */
  readonly target?: string;
  readonly attributes: readonly (readonly [name: string, value: Uint8Array])[];
  /** Of a small file without holes. */
  readonly contents?: Uint8Array;
}

export interface FileTree {
  readonly files: readonly TreeFile[];
  /** Inode numbers of files whose contents may have changed without a trace: they are mapped to be written, or had just been changed. */
  readonly touched: readonly number[];
  /** Inode numbers of files of which somebody would notice that they are open or mapped: their contents are copied. */
  readonly noticed: readonly number[];
}

/** Files of one tree that are worth to be looked at one by one. */
const MOST_FILES = 50_000;
/** A file's contents up to this size travel with others'. */
export const SMALL_FILE = 0x10000;
const STATX_BASIC = 0x7ff;
const STATX_BTIME = 0x800;
const NAME_BYTES = 1024;

/** FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL: statx(2) has the same bits for them. */
const KEPT_FLAGS = 0x70;
/** Those of them with which a file cannot be opened to be written anywhere. */
export const PROTECTING_FLAGS = 0x30;

/** `struct statx`: attributes u64 at 8, nlink u32 at 16, uid, gid, mode u16, ino u64 at 32, size, blocks, atime at 64 (s i64, ns u32), btime, ctime, mtime, rdev at 128, dev at 136. */
export function parseStatx(v: DataView): FileFacts {
  const time = (at: number): bigint => v.getBigInt64(at, true) * 1_000_000_000n + BigInt(v.getUint32(at + 8, true));
  const [major, minor] = [v.getUint32(128, true), v.getUint32(132, true)];
  return {
    flags: v.getUint32(8, true) & KEPT_FLAGS,
    nlink: v.getUint32(16, true),
    uid: v.getUint32(20, true),
    gid: v.getUint32(24, true),
    mode: v.getUint16(28, true),
    ino: Number(v.getBigUint64(32, true)),
    size: Number(v.getBigUint64(40, true)),
    room: Number(v.getBigUint64(48, true)) * 512,
    atime: time(64),
    btime: time(80),
    ctime: time(96),
    mtime: time(112),
    // As the kernel encodes it for user space: minor in bits 0-7 and 20-31, major in 8-19.
    rdev: BigInt(minor & 0xff) | (BigInt(major) << 8n) | (BigInt(minor >>> 8) << 20n),
    dev: `${v.getUint32(136, true)}:${v.getUint32(140, true)}`,
  };
}

/** What files are, by paths that start at a descriptor of the hands ('' is what it leads to); undefined: there is none. */
export function statAll(hands: Hands, fd: number, paths: readonly string[]): Promise<(FileFacts | undefined)[]> {
  return askAll(hands, paths, 1, (b, path) => {
    const out = b.out(256);
    const flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    const n = b.call(SYS.statx, fd, b.str(path), flags, STATX_BASIC | STATX_BTIME, out);
    return (r) => (isFound(r.value(n), `looking at ${path}`) ? parseStatx(r.view(out)) : undefined);
  });
}

export const joined = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);

/** The folder that a path of a tree is in. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** An earlier look at a tree. */
export interface KnownTree {
  readonly files: readonly TreeFile[];
  /** When it was begun, in nanoseconds of the real time: see {@link fileTime}. */
  readonly at: bigint;
}

/**
 * Everything below a descriptor of the hands (`O_PATH`), but for the contents of files. `where`: for messages; `known`: an
 * earlier look, so that only what has changed is looked into; `layers`: its files are of several file systems, as on
 * overlayfs.
 */
export async function listTree(
  hands: Hands,
  fd: number,
  where: string,
  { known, layers = false }: { readonly known?: KnownTree; readonly layers?: boolean } = {},
): Promise<FileTree> {
  const seen = new Map<string, { facts: FileFacts; paths: string[] }>();
  const note = (facts: FileFacts, path: string): void => {
    const key = `${facts.dev} ${facts.ino}`;
    const known = seen.get(key);
    if (known === undefined || typeOf(facts) === S_IF.DIR)
      seen.set(known === undefined ? key : `${key} ${path}`, { facts, paths: [path] });
    else known.paths.push(path);
  };
  const before = new Earlier(known);
  const stats = await statAll(hands, fd, ['', ...before.paths]);
  const [top] = stats;
  if (top === undefined) return { files: [], touched: [], noticed: [] };
  const now = new Map(before.paths.map((path, i) => [path, stats[i + 1]]));
  note(top, '');
  let folders = typeOf(top) === S_IF.DIR ? [''] : [];
  let count = 0;
  while (folders.length > 0) {
    const isKnown = (f: string): boolean => before.isAsItWas(f, f === '' ? top : now.get(f));
    const changed = folders.filter((f) => !isKnown(f));
    const names = await readDirs(
      hands,
      changed.map((f) => `/proc/self/fd/${fd}/${f}`),
    );
    const fresh = changed.flatMap((f, i) => (names[i] ?? []).map((name) => joined(f, name)));
    const paths = [...fresh, ...folders.filter(isKnown).flatMap((f) => before.below(f))];
    count += paths.length;
    if (count > MOST_FILES) throw unsupported(`a file system of its own with more than ${MOST_FILES} files`, where);
    const strange = paths.find((p) => p.includes('\ufffd'));
    if (strange !== undefined) throw unsupported('a file name that is not UTF-8', `${where}/${strange}`);
    const unknown = fresh.filter((path) => !now.has(path));
    const found = await statAll(hands, fd, unknown);
    unknown.forEach((path, i) => now.set(path, found[i]));
    folders = [];
    for (const path of paths) {
      const f = now.get(path);
      // What is another file system's is its own.
      if (f === undefined || (!layers && f.dev !== top.dev)) continue;
      note(f, path);
      if (typeOf(f) === S_IF.DIR) folders.push(path);
    }
  }
  const files = connected([...seen.values()].map(({ facts, paths }) => ({ ...facts, paths: paths.sort() })));
  const changed = files.filter((f) => before.of(f) === undefined);
  const links = changed.filter((f) => typeOf(f) === S_IF.LNK);
  const [targets, attributes] = await together([
    readLinks(
      hands,
      links.map((f) => fileAt(fd, f)),
    ),
    readAttributes(hands, fd, changed),
  ]);
  const targetOf = new Map(links.map((f, i) => [f, targets[i]]));
  const attributesOf = new Map(changed.map((f, i) => [f, attributes[i]]));
  return {
    touched: [],
    noticed: [],
    files: files.flatMap((f): TreeFile[] => {
      const was = before.of(f);
      const target = was === undefined ? targetOf.get(f) : was.target;
      const its = was === undefined ? attributesOf.get(f) : was.attributes;
      // A link that was gone when it was asked where it leads.
      if (typeOf(f) === S_IF.LNK && target === undefined) return [];
      return [{ ...f, attributes: its ?? [], ...(target === undefined ? {} : { target }) }];
    }),
  };
}

/** Without what lies in folders that are not among them: of a tree that changes while it is looked at, some are gone by now. */
function connected<F extends FileFacts & { readonly paths: readonly string[] }>(files: readonly F[]): F[] {
  const isFolder = (f: F): boolean => typeOf(f) === S_IF.DIR;
  const folders = new Set<string>();
  const isIn = (path: string): boolean => path === '' || folders.has(folderOf(path));
  // A folder has one name, and sorts before what is in it.
  const names = files.filter(isFolder).flatMap((f) => f.paths);
  for (const path of names.sort()) if (isIn(path)) folders.add(path);
  return files.flatMap((f) => {
    const paths = f.paths.filter((path) => (isFolder(f) ? folders.has(path) : isIn(path)));
    return paths.length === 0 ? [] : [{ ...f, paths }];
  });
}

/** What an earlier look at a tree tells of it still: whatever happens to a folder or a file changes its time. */
class Earlier {
  readonly #byPath = new Map<string, TreeFile>();
  readonly #byFile = new Map<string, TreeFile>();
  readonly #below = new Map<string, string[]>();
  readonly #at: bigint;

  constructor(known: KnownTree | undefined) {
    this.#at = known?.at ?? 0n;
    for (const f of known?.files ?? []) {
      this.#byFile.set(`${f.dev} ${f.ino}`, f);
      for (const path of f.paths) {
        this.#byPath.set(path, f);
        if (path === '') continue;
        const folder = folderOf(path);
        const below = this.#below.get(folder);
        if (below === undefined) this.#below.set(folder, [path]);
        else below.push(path);
      }
    }
  }

  /** All paths but the top's. */
  get paths(): string[] {
    return [...this.#byPath.keys()].filter((path) => path !== '');
  }

  /** What was in a folder. */
  below(folder: string): readonly string[] {
    return this.#below.get(folder) ?? [];
  }

  /** Whether the same is in a folder as was. */
  isAsItWas(folder: string, now: FileFacts | undefined): boolean {
    const was = this.#byPath.get(folder);
    return was !== undefined && now !== undefined && this.#isSame(was, now);
  }

  /** The same file, if all but its contents and when it was last read is as it was. */
  of(now: FileFacts): TreeFile | undefined {
    const was = this.#byFile.get(`${now.dev} ${now.ino}`);
    return was !== undefined && this.#isSame(was, now) ? was : undefined;
  }

  #isSame(was: FileFacts, now: FileFacts): boolean {
    return (
      was.ino === now.ino &&
      was.dev === now.dev &&
      was.mode === now.mode &&
      was.ctime === now.ctime &&
      // Once more in the same tick would not be seen.
      was.ctime <= this.#at - TICKS
    );
  }
}

/** Extended attributes: all names first, for most files have none. */
async function readAttributes(hands: Hands, fd: number, files: readonly Named[]): Promise<[string, Uint8Array][][]> {
  const names = await askAll(hands, files, 1, (b, f) => {
    const out = b.out(NAME_BYTES);
    // The top is reached through a link of /proc, which is to be followed.
    const n = b.call(isTop(f) ? SYS.listxattr : SYS.llistxattr, b.str(fileAt(fd, f)), out, NAME_BYTES);
    return (r) =>
      new TextDecoder()
        .decode(r.bytes(out, Math.max(0, r.value(n))))
        .split('\0')
        .filter((x) => x !== '');
  });
  const wanted = files.flatMap((f, i) => (names[i] ?? []).map((name) => ({ i, name, f })));
  const values = await askAll(hands, wanted, 5, (b, { name, f }) => {
    const out = b.out(4096);
    const n = b.call(isTop(f) ? SYS.getxattr : SYS.lgetxattr, b.str(fileAt(fd, f)), b.str(name), out, 4096);
    return (r) => (r.value(n) < 0 ? undefined : r.bytes(out, r.value(n)));
  });
  const all = files.map((): [string, Uint8Array][] => []);
  wanted.forEach(({ i, name }, k) => {
    const value = values[k];
    if (value !== undefined) all[i]?.push([name, value]);
  });
  return all;
}

export const isLarge = (f: FileFacts): boolean => typeOf(f) === S_IF.REG && (f.size > SMALL_FILE || f.room < f.size);

/** The same tree with the contents of small files, but for those of which `known` says that they are known already. */
export async function withContents(
  hands: Hands,
  fd: number,
  tree: FileTree,
  known: (f: TreeFile) => boolean = () => false,
): Promise<FileTree> {
  const small = tree.files.filter((f) => typeOf(f) === S_IF.REG && !isLarge(f) && !known(f));
  const contents = new Map<TreeFile, Uint8Array>();
  for (let start = 0; start < small.length;) {
    const b = hands.batch();
    const reads: { f: TreeFile; done: () => void }[] = [];
    let bytes = 0;
    for (; start < small.length && reads.length < 150 && bytes < 4 * SMALL_FILE; start++) {
      const f = small[start];
      if (f === undefined) break;
      bytes += f.size;
      const out = b.out(Math.max(1, f.size));
      const opened = b.call(SYS.openat, AT_FDCWD, b.str(fileAt(fd, f)), O.RDONLY | O.CLOEXEC | O.NOATIME, 0);
      const n = b.call(SYS.pread64, opened, out, f.size, 0);
      b.call(SYS.close, opened);
      const path = f.paths[0] ?? '';
      reads.push({
        f,
        done: () => {
          const r = results[0];
          if (r === undefined) return;
          check(r.value(opened), `opening ${path}`);
          contents.set(f, r.bytes(out, check(r.value(n), `reading ${path}`)));
        },
      });
    }
    const results = [await b.run()];
    for (const { done } of reads) done();
  }
  return {
    ...tree,
    files: tree.files.map((f) => {
      const c = contents.get(f);
      return c === undefined ? f : { ...f, contents: c };
    }),
  };
}

type Named = Pick<TreeFile, 'paths'>;

/** Whether a file is the top of its tree. */
const isTop = ({ paths: [path = ''] }: Named): boolean => path === '';

/** A file of a tree, by a path that the hands can open it with. */
export const fileAt = (fd: number, f: Named): string => {
  const [path = ''] = f.paths;
  return `/proc/self/fd/${fd}${path === '' ? '' : `/${path}`}`;
};

/** Whether a file is as it was: nothing about it has changed since, and it has the same names. */
export function isSame(a: TreeFile, b: TreeFile): boolean {
  return a.ino === b.ino && a.ctime === b.ctime && a.size === b.size && a.paths.join('\0') === b.paths.join('\0');
}
