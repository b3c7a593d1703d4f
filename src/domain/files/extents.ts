import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../errors.js';
import { check, isFound } from '../linux/os.js';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** Pieces looked for in one batch, each by two calls; and in the first, for most files have one. */
const AT_ONCE = 100;
const AT_FIRST = 2;
/** More pieces than this no file is taken apart into. */
const MOST = 1 << 18;
/** Bytes read or written by one call. */
const CHUNK = 0x80000;

/** A part of a file that has contents, in bytes from its start. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Contents of a part of a file. */
export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Where a file has contents. `fd`: a descriptor of the hands, whose offset changes. */
export async function extentsOf(hands: Hands, fd: number, size: number, what: string): Promise<Extent[]> {
  const out: Extent[] = [];
  for (let at = 0; at < size;) {
    const b = hands.batch();
    const found: { readonly start: ReturnType<typeof b.call>; readonly end: ReturnType<typeof b.call> }[] = [];
    for (let i = 0; i < (out.length === 0 ? AT_FIRST : AT_ONCE); i++) {
      const start = b.must(SYS.lseek, fd, found.at(-1)?.end ?? at, SEEK_DATA);
      found.push({ start, end: b.must(SYS.lseek, fd, start, SEEK_HOLE) });
    }
    const r = await b.run();
    for (const { start, end } of found) {
      // There is nothing any more behind it (ENXIO).
      if (!isFound(r.value(start), `looking where ${what} has contents`)) return out;
      at = check(r.value(end), `looking where ${what} has none`);
      out.push({ start: r.value(start), end: at });
      if (at >= size) return out;
    }
    if (out.length > MOST) throw unsupported('a file with very many holes', what);
  }
  return out;
}

/** What a file holds, without its holes. `fd`: a descriptor of the hands that may read, whose offset changes. */
export async function readPieces(hands: Hands, fd: number, size: number, what: string): Promise<Piece[]> {
  const pieces: Piece[] = [];
  const wanted = (await extentsOf(hands, fd, size, what)).flatMap(inChunks);
  for (const some of fitting(wanted, (e) => e.end - e.start)) {
    const b = hands.batch();
    const reads = some.map((e) => {
      const buf = b.out(e.end - e.start);
      return { at: e.start, buf, n: b.call(SYS.pread64, fd, buf, buf.length, e.start) };
    });
    const r = await b.run();
    for (const { at, buf, n } of reads) pieces.push({ at, bytes: r.bytes(buf, check(r.value(n), `reading ${what}`)) });
  }
  return pieces;
}

/** Puts contents into an empty file. `fd`: a descriptor of the hands that may write. */
export async function writePieces(
  hands: Hands,
  fd: number,
  size: number,
  pieces: readonly Piece[],
  what: string,
): Promise<void> {
  const groups = fitting(pieces, (p) => p.bytes.length);
  // The size comes with the first.
  for (const [i, some] of [groups[0] ?? [], ...groups.slice(1)].entries()) {
    const b = hands.batch();
    const sized = i === 0 ? b.call(SYS.ftruncate, fd, size) : undefined;
    const writes = some.map((p) => ({ p, n: b.call(SYS.pwrite64, fd, b.bytes(p.bytes), p.bytes.length, p.at) }));
    const r = await b.run();
    if (sized !== undefined) check(r.value(sized), `making ${what} as long as it was`);
    for (const { p, n } of writes)
      if (check(r.value(n), `writing ${what}`) !== p.bytes.length)
        throw new DomainError('guest', `there is no room for ${what}`);
  }
}

export const bytesOf = (pieces: readonly Piece[]): number => pieces.reduce((n, p) => n + p.bytes.length, 0);

function inChunks({ start, end }: Extent): Extent[] {
  const out: Extent[] = [];
  for (let at = start; at < end; at += CHUNK) out.push({ start: at, end: Math.min(end, at + CHUNK) });
  return out;
}

/** In groups that one batch has room for. */
function fitting<T>(many: readonly T[], size: (one: T) => number): T[][] {
  const out: T[][] = [];
  let room = 0;
  for (const one of many) {
    room -= size(one);
    const last = out.at(-1);
    if (last === undefined || room < 0 || last.length === AT_ONCE) {
      out.push([one]);
      room = CHUNK - size(one);
    } else last.push(one);
  }
  return out;
}
