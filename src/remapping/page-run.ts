/**
 * Walks over runs of a guest's pages from outside, for the frame mover: Sv39 (privileged specification,
 * 12.4), as walkSv39 in vmm/page-walk.ts does for one address, but a leaf table at a time.
 *
 *     page table entry:  63…54 reserved   53…10 page number   9…8 software   D A G U X W R V
 */
import { RAM_START } from '../partition/address-space.js';
import type { PageLook } from '../domain/memory/mover.js';
import type { Range } from '../domain/memory/ranges.js';

const V = 1;
const R_OR_X = 0b1010;
const W = 0b100;
/** _PAGE_SPECIAL of Linux (arch/riscv/include/asm/pgtable-bits.h), a software bit: in private anonymous memory, the page of zeros. */
const SPECIAL = 1 << 8;
/** A page that nobody may touch is there without being valid: _PAGE_PROT_NONE and _PAGE_READ of Linux. Not so one that is away. */
const CLOSED = 0b100010;
const MEGAPAGE = 0x20_0000;
const GIGAPAGE = 0x4000_0000;
const RAM_PAGE = RAM_START / 4096;

/** Guest-physical memory as the walk sees it: the shared memory's words, and where an address lies in it (or -1). */
export interface GuestPhysical {
  readonly words: Int32Array;
  offsetOf(address: number): number;
}

/**
 * Writes, for each of `count` pages from `va`, the page's number in its logical address space (counted from
 * the start of RAM) to `out` from `at`. Answers the address of the first page that is not present (or, with
 * `own`, that is the page of zeros), or -1 if all are.
 */
export function walkRun(
  memory: GuestPhysical,
  satp: bigint,
  va: number,
  count: number,
  own: boolean,
  out: Int32Array,
  at: number,
): number {
  const root = Number(satp & ((1n << 44n) - 1n)) * 4096;
  if (satp >> 60n !== 8n) return va;
  const [mask, need] = own ? [V | SPECIAL, V] : [V, V];
  const { words } = memory;
  for (let done = 0; done < count;) {
    const address = va + done * 4096;
    const giga = entryAt(memory, root, Math.floor(address / GIGAPAGE) & 511);
    // A page of 1 GiB cannot be somebody's anonymous memory.
    if (giga < 0 || (words[giga] & (V | R_OR_X)) !== V) return address;
    const middle = pageNumber(words[giga], words[giga + 1]) * 4096;
    const mega = entryAt(memory, middle, Math.floor(address / MEGAPAGE) & 511);
    const first = Math.floor(address / 4096) & 511;
    const here = Math.min(count - done, 512 - first);
    if (mega < 0 || ((words[mega] & V) === 0 && !isClosed(words[mega]))) return address;
    const page = pageNumber(words[mega], words[mega + 1]);
    if ((words[mega] & R_OR_X) !== 0) {
      if ((words[mega] & mask) !== need && !isClosed(words[mega])) return address;
      for (let i = 0; i < here; i++) out[at + done + i] = page + first + i - RAM_PAGE;
      done += here;
      continue;
    }
    let entry = entryAt(memory, page * 4096, first);
    if (entry < 0) return address;
    for (let i = 0; i < here; i++, entry += 2) {
      const low = words[entry];
      if (((low & mask) !== need || (low & R_OR_X) === 0) && !isClosed(low)) return address + i * 4096;
      out[at + done + i] = pageNumber(low, words[entry + 1]) - RAM_PAGE;
    }
    done += here;
  }
  return -1;
}

/**
 * Where private anonymous memory has pages of its own: present, and not the page of zeros. Walks at most `mostTables`
 * leaf tables, as many as a guest with that much memory can have; what is beyond is unclear.
 */
export function ownPagesIn(
  memory: GuestPhysical,
  satp: bigint,
  ranges: readonly Range[],
  mostTables: number,
): PageLook {
  if (satp >> 60n !== 8n) return { own: [], unclear: ranges };
  const root = Number(satp & ((1n << 44n) - 1n)) * 4096;
  const own = new RangeList();
  const unclear = new RangeList();
  const { words } = memory;
  let tables = 0;
  for (const r of ranges) {
    for (let at = r.start; at < r.end;) {
      const endOf = (size: number): number => Math.min(r.end, (Math.floor(at / size) + 1) * size);
      const giga = entryAt(memory, root, Math.floor(at / GIGAPAGE) & 511);
      if (giga < 0 || (words[giga] & (V | R_OR_X)) !== V) {
        if (giga < 0 || !isEmpty(words, giga)) unclear.add(at, endOf(GIGAPAGE));
        at = endOf(GIGAPAGE);
        continue;
      }
      const middle = pageNumber(words[giga], words[giga + 1]) * 4096;
      const mega = entryAt(memory, middle, Math.floor(at / MEGAPAGE) & 511);
      const end = endOf(MEGAPAGE);
      const low = mega < 0 ? 0 : words[mega];
      let entry = -1;
      if ((low & (V | R_OR_X)) === V && ++tables <= mostTables)
        entry = entryAt(memory, pageNumber(low, words[mega + 1]) * 4096, Math.floor(at / 4096) & 511);
      if (entry < 0) {
        // A huge page that may be written is nobody else's, and not the huge page of zeros.
        const mine = (low & (V | W)) === (V | W) && (low & R_OR_X) !== 0;
        if (mega < 0 || !isEmpty(words, mega)) (mine ? own : unclear).add(at, end);
        at = end;
        continue;
      }
      for (; at < end; at += 4096, entry += 2) {
        const flags = words[entry];
        if ((flags & V) !== 0 && (flags & R_OR_X) !== 0) {
          if ((flags & SPECIAL) === 0) own.add(at, at + 4096);
        } else if (isClosed(flags)) own.add(at, at + 4096);
        else if (!isEmpty(words, entry)) unclear.add(at, at + 4096);
      }
    }
  }
  return { own: own.done(), unclear: unclear.done() };
}

/** Address spaces of a process on both sides, and where to look in them. */
interface Pair {
  readonly from: bigint;
  readonly to: bigint;
  readonly ranges: readonly Range[];
}

/**
 * For each of the pairs, in order: pages that have a frame of the destination in common with one before them, but not one of the
 * source; and those that are not there on a side. `pages`: how many the destination has.
 */
export function strangersIn(
  source: GuestPhysical,
  destination: GuestPhysical,
  pairs: readonly Pair[],
  pages: number,
): (readonly Range[])[] {
  // By page of the destination: the page of the source that it is for, counted from 1.
  const owner = new Int32Array(pages);
  return pairs.map(({ from, to, ranges }) => {
    const out = new RangeList();
    for (const { start, end } of ranges) {
      const count = (end - start) / 4096;
      const sources = walkAll(source, from, start, count);
      const targets = walkAll(destination, to, start, count);
      for (let i = 0; i < count; i++) {
        const claim = sources[i] + 1;
        const before = owner[targets[i]];
        if (claim !== 0 && before === 0) owner[targets[i]] = claim;
        else if (claim === 0 || before !== claim) out.add(start + i * 4096, start + i * 4096 + 4096);
      }
    }
    return out.done();
  });
}

/** As {@link walkRun}; pages that are not there are -1. */
function walkAll(memory: GuestPhysical, satp: bigint, va: number, count: number): Int32Array {
  const out = new Int32Array(count);
  for (let at = 0; at < count;) {
    const missing = walkRun(memory, satp, va + at * 4096, count - at, true, out, at);
    if (missing < 0) break;
    at = (missing - va) / 4096 + 1;
    out[at - 1] = -1;
  }
  return out;
}

/** Ranges that come in order, each grown as long as the next touches it. */
class RangeList {
  readonly #ranges: Range[] = [];
  #start = -1;
  #end = -1;

  add(start: number, end: number): void {
    if (start !== this.#end) {
      if (this.#end >= 0) this.#ranges.push({ start: this.#start, end: this.#end });
      this.#start = start;
    }
    this.#end = end;
  }

  done(): readonly Range[] {
    if (this.#end >= 0) this.#ranges.push({ start: this.#start, end: this.#end });
    this.#end = -1;
    return this.#ranges;
  }
}

function pageNumber(low: number, high: number): number {
  return ((low >> 10) & 0x3fffff) + (high & 0x3fffff) * 0x400000;
}

/** Where in the words an entry of a table stands, or -1 if the table is not in this memory. */
function entryAt(memory: GuestPhysical, table: number, index: number): number {
  const offset = memory.offsetOf(table + 8 * index);
  return offset < 0 ? -1 : offset >>> 2;
}

/** A page with contents that nobody may touch. */
function isClosed(low: number): boolean {
  return (low & (V | CLOSED | SPECIAL)) === CLOSED;
}

/** Nothing is there. */
function isEmpty(words: Int32Array, entry: number): boolean {
  return words[entry] === 0 && words[entry + 1] === 0;
}
