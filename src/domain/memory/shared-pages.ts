import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { Outline } from '../checkpoint/outline.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { together } from '../together.js';
import { intersect, normalize, subtract, total, type Range } from './ranges.js';

/** Pages that the same processes have in common since a fork, at the same addresses. */
export interface SharedPages {
  /** By their ids in the domain, at least two. */
  readonly pids: readonly number[];
  readonly pages: readonly Range[];
}

const PAGE = 4096;
const ENTRY = 8;
/** Pages in one read, and bytes of reads in one batch. */
const PAGES_AT_ONCE = 8192;
const ROOM = 400_000;
const READS_AT_ONCE = 250;
/** Domains that have more than this in common copy it: the look would take too long. */
const MOST_PAGES = 2 ** 20;
const MOST_RANGES = 20_000;
/** Sets of processes that have something in common; of more, those that have the most. */
const MOST_SETS = 300;

/**
 * What processes share since a fork. A domain may run meanwhile; then it is what they shared at some moment, or a little
 * less: a page that is taken for shared must be looked at again when all stand still.
 */
export async function findShared(hands: Hands, outlines: readonly Outline[]): Promise<SharedPages[]> {
  const common = inCommon(outlines.map(mayShare));
  const pages = common.reduce((n, ranges) => n + total(ranges) / PAGE, 0);
  const ranges = common.reduce((n, some) => n + some.length, 0);
  if (pages === 0 || pages > MOST_PAGES || ranges > MOST_RANGES) return [];
  const frames = await together(outlines.map((o, i) => framesOf(hands, o.view.hostPid, common[i] ?? [])));
  return sameFrames(
    outlines.map((o) => o.view.pid),
    frames,
  );
}

/** Where a process may have pages in common with others. Images of other kernels' vDSOs are written anew in each. */
function mayShare({ pages, keptVdsos }: Outline): readonly Range[] {
  if (keptVdsos.length === 0) return pages;
  return subtract(pages, normalize(keptVdsos.flatMap((v) => [v.vvar, v.vdso])));
}

/** Of each list of ranges what is in another one, too. */
export function inCommon(all: readonly (readonly Range[])[]): Range[][] {
  const edges = all
    .flatMap((ranges) =>
      ranges.flatMap((r) => [
        { at: r.start, step: 1 },
        { at: r.end, step: -1 },
      ]),
    )
    .sort((a, b) => a.at - b.at || a.step - b.step);
  const twice: Range[] = [];
  let depth = 0;
  let start = 0;
  for (const { at, step } of edges) {
    if (depth >= 2 && at > start) twice.push({ start, end: at });
    depth += step;
    start = at;
  }
  const deep = normalize(twice);
  return all.map((ranges) => intersect(ranges, deep));
}

/** Pages with their frames, in two lists of the same length. */
export interface Frames {
  readonly addresses: readonly number[];
  readonly frames: readonly number[];
}

/** `all`: those of each process. Pages of several processes are shared if frame and address are the same. */
export function sameFrames(pids: readonly number[], all: readonly Frames[]): SharedPages[] {
  const found = new Map<number, { readonly address: number; readonly pids: number[] }>();
  all.forEach(({ addresses, frames }, p) => {
    const pid = pids[p] ?? -1;
    frames.forEach((frame, i) => {
      const address = addresses[i] ?? -1;
      const page = found.get(frame);
      if (page === undefined) found.set(frame, { address, pids: [pid] });
      else if (page.address === address && page.pids.at(-1) !== pid) page.pids.push(pid);
    });
  });
  const sets = new Map<string, { readonly pids: readonly number[]; readonly pages: Range[] }>();
  for (const { address, pids: who } of found.values()) {
    if (who.length < 2) continue;
    const key = who.join(' ');
    const page = { start: address, end: address + PAGE };
    const set = sets.get(key);
    if (set === undefined) sets.set(key, { pids: who, pages: [page] });
    else set.pages.push(page);
  }
  const gain = (s: SharedPages): number => total(s.pages) * (s.pids.length - 1);
  return [...sets.values()]
    .map((s) => ({ pids: s.pids, pages: normalize(s.pages) }))
    .sort((a, b) => gain(b) - gain(a))
    .slice(0, MOST_SETS);
}

/**
 * The frames of those pages of a process that others map, too (Documentation/admin-guide/mm/pagemap.rst). None for a process
 * that is gone.
 */
async function framesOf(hands: Hands, pid: number, ranges: readonly Range[]): Promise<Frames> {
  const reads = ranges.flatMap(({ start, end }) =>
    Array.from({ length: Math.ceil((end - start) / PAGE / PAGES_AT_ONCE) }, (_, i) => {
      const from = start + i * PAGES_AT_ONCE * PAGE;
      return { from, pages: Math.min(PAGES_AT_ONCE, (end - from) / PAGE) };
    }),
  );
  const addresses: number[] = [];
  const frames: number[] = [];
  for (let next = 0; next < reads.length;) {
    const b = hands.batch();
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/${pid}/pagemap`), O.RDONLY | O.CLOEXEC, 0);
    const asked = [];
    for (let room = ROOM; next < reads.length && asked.length < READS_AT_ONCE; next++) {
      const { from, pages } = reads[next];
      room -= pages * ENTRY;
      if (room < 0 && asked.length > 0) break;
      const out = b.out(pages * ENTRY);
      asked.push({ from, out, n: b.call(SYS.pread64, fd, out, pages * ENTRY, (from / PAGE) * ENTRY) });
    }
    b.call(SYS.close, fd);
    const r = await b.run();
    if (r.value(fd) < 0) return { addresses: [], frames: [] };
    for (const { from, out, n } of asked) {
      const view = r.view(out);
      for (let at = 0; at + ENTRY <= r.value(n); at += ENTRY) {
        const frame = sharedFrame(view.getUint32(at, true), view.getUint32(at + 4, true));
        if (frame <= 0) continue;
        addresses.push(from + (at / ENTRY) * PAGE);
        frames.push(frame);
      }
    }
  }
  return { addresses, frames };
}

/** Upper half of an entry: bit 63 present, 62 swapped, 61 of a file, 56 exclusive, 54…0 frame. */
const KIND = 0xe100_0000;
const PRESENT = 0x8000_0000;

/** The frame, or -1 if nobody else maps it, or it is of a file, or not there. */
function sharedFrame(low: number, high: number): number {
  return (high & KIND) >>> 0 === PRESENT ? (high & 0x7f_ffff) * 2 ** 32 + low : -1;
}
