import { direntNames } from '../../guest/hands/files.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { together } from '../together.js';
import { askAll } from './ask-all.js';
import { AT_FDCWD, ECANCELED, EFAULT, EINTR, EMFILE, ENFILE, ENOMEM, ENOSYS, O } from './flags.js';
import { addOpen, type HeldFiles } from './held-files.js';
import { whileOpen } from './making.js';

export { direntNames, writeText } from '../../guest/hands/files.js';

const utf8 = new TextDecoder();
const PAGE = 4096;

/** Throws `guest` when a result is `-errno`. */
export function check(value: number, what: string): number {
  if (value < 0 && value >= -4095)
    throw new DomainError('guest', `${what} failed in the guest: errno ${-value}`, { errno: -value });
  return value;
}

/**
 * Failures that say nothing of what was looked for: the call was broken off, not made, or there was too little of
 * something. To take them for "it is not there" would be to leave out what is.
 */
const TELLS_NOTHING: readonly number[] = [EINTR, ENOMEM, EFAULT, ENFILE, EMFILE, ENOSYS, ECANCELED];

/** Whether a call found what it looked for. Throws `guest` if its failure does not tell. */
export function isFound(value: number, what: string): boolean {
  if (TELLS_NOTHING.includes(-value)) check(value, what);
  return value >= 0;
}

/** As much as one batch of {@link readFiles} fetches. */
const AT_ONCE = 120 * PAGE;
/** Reads in a file of many pages: in the first batch, and in each after it. */
const FIRST_READS = 16;
const LONG_READS = 200;
/** Bytes of a read that is only to find the end. */
const LAST_LOOK = 64;

/**
 * Reads files of `/proc` and `/sys`, many in one batch. Such a file gives about a page per read and tells its end by
 * giving nothing: it is read `pages` times, and then a little. One that has more is read again, with room to spare.
 * Answers undefined for a file that cannot be opened.
 */
export async function readFiles(
  hands: Hands,
  paths: readonly string[],
  pages: number,
  held?: HeldFiles,
): Promise<(Uint8Array | undefined)[]> {
  const perBatch = Math.max(1, Math.floor(AT_ONCE / (pages * PAGE)));
  const parts: Promise<(Uint8Array | undefined)[]>[] = [];
  for (let start = 0; start < paths.length; start += perBatch)
    parts.push(readSome(hands, paths.slice(start, start + perBatch), pages, held));
  return (await together(parts)).flat();
}

async function readSome(
  hands: Hands,
  paths: readonly string[],
  pages: number,
  held: HeldFiles | undefined,
): Promise<(Uint8Array | undefined)[]> {
  const b = hands.batch();
  const reads = paths.map((path) => {
    const { fd, opened, done } = addOpen(b, path, O.RDONLY, held);
    const chunks = Array.from({ length: pages + 1 }, (_, i) => {
      const length = i < pages ? PAGE : LAST_LOOK;
      const buf = b.out(length);
      return { buf, n: b.call(SYS.read, fd, buf, length) };
    });
    done();
    return { path, opened, chunks };
  });
  const r = await b.run();
  return together(
    reads.map(({ path, opened, chunks }) => {
      const [first] = chunks;
      // A held file of a process that is gone can be read no more.
      const look = opened ?? first?.n;
      if (look === undefined || !isFound(r.value(look), `opening ${path}`)) return Promise.resolve(undefined);
      for (const { n } of chunks) isFound(r.value(n), `reading ${path}`);
      const pieces = chunks.map(({ buf, n }) => r.bytes(buf, r.value(n)));
      return pieces.at(-1)?.length === 0 ? Promise.resolve(concat(pieces)) : readLong(hands, path);
    }),
  );
}

export async function readTexts(
  hands: Hands,
  paths: readonly string[],
  pages = 2,
  held?: HeldFiles,
): Promise<(string | undefined)[]> {
  const files = await readFiles(hands, paths, pages, held);
  return files.map((bytes) => (bytes === undefined ? undefined : utf8.decode(bytes)));
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of pieces) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}

/** A whole file, or undefined if it cannot be opened. */
export async function readFile(hands: Hands, path: string, held?: HeldFiles): Promise<Uint8Array | undefined> {
  return (await readFiles(hands, [path], 1, held))[0];
}

/** As {@link readFile}, for a file of many pages. */
async function readLong(hands: Hands, path: string): Promise<Uint8Array | undefined> {
  const open = hands.batch();
  const fdRef = open.call(SYS.openat, AT_FDCWD, open.str(path), O.RDONLY | O.CLOEXEC, 0);
  const fd = (await open.run()).value(fdRef);
  if (!isFound(fd, `opening ${path}`)) return undefined;
  return whileOpen(hands, fd, async () => {
    const pieces: Uint8Array[] = [];
    for (let [ended, reads] = [false, FIRST_READS]; !ended; reads = LONG_READS) {
      const b = hands.batch();
      // Whatever the room, such a file gives no more than about a page per read.
      const chunks = Array.from({ length: reads }, () => {
        const buf = b.out(PAGE);
        return { buf, n: b.mustFind(SYS.read, fd, buf, PAGE) };
      });
      const r = await b.run();
      for (const { buf, n } of chunks) {
        const length = r.value(n);
        // What comes after the end is not read.
        if (!ended) isFound(length, `reading ${path}`);
        if (length <= 0) ended = true;
        else pieces.push(r.bytes(buf, length));
      }
    }
    return concat(pieces);
  });
}

export async function readText(hands: Hands, path: string, held?: HeldFiles): Promise<string | undefined> {
  return (await readTexts(hands, [path], 2, held))[0];
}

/** Opens a path; throws `guest`. */
export async function open(hands: Hands, path: string, flags: number, mode = 0): Promise<number> {
  const b = hands.batch();
  const fd = b.call(SYS.openat, AT_FDCWD, b.str(path), flags | O.CLOEXEC, mode);
  return check((await b.run()).value(fd), `opening ${path}`);
}

const DIR_CHUNK = 0x4000;

/** Names in a directory, or undefined if it cannot be opened. */
export async function readDir(hands: Hands, path: string): Promise<string[] | undefined> {
  return (await readDirs(hands, [path]))[0];
}

export async function readDirs(
  hands: Hands,
  paths: readonly string[],
  held?: HeldFiles,
): Promise<(string[] | undefined)[]> {
  const parts: Promise<(string[] | undefined)[]>[] = [];
  for (let start = 0; start < paths.length; start += 8)
    parts.push(readSomeDirs(hands, paths.slice(start, start + 8), held));
  return (await together(parts)).flat();
}

/** As {@link readDir}, for a folder of many entries. */
async function readLongDir(hands: Hands, path: string): Promise<string[] | undefined> {
  const opening = hands.batch();
  const fdRef = opening.call(SYS.openat, AT_FDCWD, opening.str(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const fd = (await opening.run()).value(fdRef);
  if (!isFound(fd, `opening ${path}`)) return undefined;
  return whileOpen(hands, fd, async () => {
    const names: string[] = [];
    for (let ended = false; !ended;) {
      const b = hands.batch();
      const chunks = Array.from({ length: 16 }, () => {
        const buf = b.out(DIR_CHUNK);
        return { buf, n: b.call(SYS.getdents64, fd, buf, DIR_CHUNK) };
      });
      const r = await b.run();
      for (const { buf, n } of chunks) {
        if (!isFound(r.value(n), `reading ${path}`) || r.value(n) === 0) ended = true;
        else for (const name of direntNames(r.bytes(buf, r.value(n)))) names.push(name);
      }
    }
    return names;
  });
}

async function readSomeDirs(
  hands: Hands,
  paths: readonly string[],
  held: HeldFiles | undefined,
): Promise<(string[] | undefined)[]> {
  const size = DIR_CHUNK;
  const b = hands.batch();
  const each = paths.map((path) => {
    const { fd, opened, done } = addOpen(b, path, O.RDONLY | O.DIRECTORY, held);
    const bufs = [b.out(size), b.out(size)];
    const ns = bufs.map((buf) => b.call(SYS.getdents64, fd, buf, size));
    done();
    return { opened, bufs, ns };
  });
  const r = await b.run();
  return together(
    each.map(({ opened, bufs, ns }, i) => {
      const [first, second] = ns;
      const what = paths[i] ?? '';
      const look = opened ?? first;
      if (look === undefined || !isFound(r.value(look), `opening ${what}`)) return Promise.resolve(undefined);
      for (const n of ns) isFound(r.value(n), `reading ${what}`);
      // The second read was only to find the end.
      if (second !== undefined && r.value(second) > 0) return readLongDir(hands, what);
      return Promise.resolve(bufs.flatMap((buf, k) => direntNames(r.bytes(buf, r.value(ns[k])))));
    }),
  );
}

/** Targets of symbolic links; undefined where there is none. */
export async function readLinks(
  hands: Hands,
  paths: readonly string[],
  held?: HeldFiles,
): Promise<(string | undefined)[]> {
  const parts: Promise<(string | undefined)[]>[] = [];
  for (let start = 0; start < paths.length; start += 200)
    parts.push(readSomeLinks(hands, paths.slice(start, start + 200), held));
  return (await together(parts)).flat();
}

async function readSomeLinks(
  hands: Hands,
  paths: readonly string[],
  held: HeldFiles | undefined,
): Promise<(string | undefined)[]> {
  const b = hands.batch();
  const each = paths.map((path) => {
    const buf = b.out(1024);
    const slash = path.lastIndexOf('/');
    const folder = held?.get(path.slice(0, slash));
    const [from, name] = folder === undefined ? [AT_FDCWD, path] : [folder, path.slice(slash + 1)];
    return { buf, n: b.call(SYS.readlinkat, from, b.str(name), buf, 1024) };
  });
  const r = await b.run();
  return each.map(({ buf, n }, i) =>
    isFound(r.value(n), `reading the link ${paths[i] ?? ''}`) ? utf8.decode(r.bytes(buf, r.value(n))) : undefined,
  );
}

/** The part of `struct stat` the domains look at. */
export interface Stat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly rdev: bigint;
  /** When the contents last changed, and when anything about the file did, in nanoseconds. */
  readonly mtime: bigint;
  readonly ctime: bigint;
}

/** `struct stat` of the generic 64-bit ABI: dev u64, ino u64, mode u32, nlink u32, uid, gid, rdev u64, pad, size i64 at 48, mtime i64 s and u64 ns at 88, ctime at 104. */
export function parseStat(view: DataView): Stat {
  return {
    dev: view.getBigUint64(0, true),
    ino: view.getBigUint64(8, true),
    mode: view.getUint32(16, true),
    nlink: view.getUint32(20, true),
    uid: view.getUint32(24, true),
    gid: view.getUint32(28, true),
    rdev: view.getBigUint64(32, true),
    size: Number(view.getBigInt64(48, true)),
    mtime: view.getBigInt64(88, true) * 1_000_000_000n + view.getBigInt64(96, true),
    ctime: view.getBigInt64(104, true) * 1_000_000_000n + view.getBigInt64(112, true),
  };
}

export async function statPath(hands: Hands, path: string): Promise<Stat | undefined> {
  const b = hands.batch();
  const buf = b.out(128);
  const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(path), buf, 0);
  const r = await b.run();
  return r.value(n) < 0 ? undefined : parseStat(r.view(buf));
}

const STATX_MNT_ID = 0x1000;
/** Where `struct statx`, of 256 bytes, has the mount's id. */
const STX_MNT_ID = 144;

/** Ids of the mounts that paths lead into, as mountinfo shows them; -1: not told. */
export function mountIds(hands: Hands, paths: readonly string[]): Promise<number[]> {
  return askAll(hands, paths, 1, (b, path) => {
    const out = b.out(256);
    const n = b.call(SYS.statx, AT_FDCWD, b.str(path), 0, STATX_MNT_ID, out);
    return (r) => (r.value(n) < 0 ? -1 : Number(r.view(out).getBigUint64(STX_MNT_ID, true)));
  });
}
