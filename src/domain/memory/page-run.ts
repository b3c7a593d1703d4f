/**
 * Walks over runs of a guest's pages from outside, for the frame mover: Sv39 (privileged specification,
 * 12.4), as walkSv39 in vmm/page-walk.ts does for one address, but a leaf table at a time.
 *
 *     page table entry:  63…54 reserved   53…10 page number   9…8 software   D A G U X W R V
 */
import { RAM_BASE } from '../../vmm/address-space.js';
import type { Range } from './ranges.js';

const V = 1;
const R_OR_X = 0b1010;
const W = 0b100;
/** _PAGE_SPECIAL of Linux (arch/riscv/include/asm/pgtable-bits.h), a software bit: in private anonymous memory, the page of zeros. */
const SPECIAL = 1 << 8;
const MEGAPAGE = 0x20_0000;
const GIGAPAGE = 0x4000_0000;
const RAM_PAGE = RAM_BASE / 4096;

/** Guest-physical memory as the walk sees it: the shared memory's words, and where an address lies in it (or -1). */
export interface GuestPhysical {
  readonly words: Int32Array;
  offsetOf(address: number): number;
}

/**
 * Writes, for each of `count` pages from `va`, the page's number in its logical address space (counted from
 * the start of RAM) to `out` from `at`. Answers the address of the first page that is not present (or, with
 * `writable`, that may not be written), or -1 if all are.
 */
export function walkRun(
  memory: GuestPhysical,
  satp: bigint,
  va: number,
  count: number,
  writable: boolean,
  out: Int32Array,
  at: number,
): number {
  const root = Number(satp & ((1n << 44n) - 1n)) * 4096;
  if (satp >> 60n !== 8n) return va;
  const need = writable ? V | W : V;
  for (let done = 0; done < count;) {
    const address = va + done * 4096;
    const gigapage = entryAt(memory, root, Math.floor(address / 0x4000_0000) & 511);
    if ((gigapage.low & V) === 0) return address;
    // A page of 1 GiB cannot be somebody's anonymous memory.
    if ((gigapage.low & R_OR_X) !== 0) return address;
    const megapage = entryAt(memory, gigapage.page * 4096, Math.floor(address / 0x20_0000) & 511);
    const first = Math.floor(address / 4096) & 511;
    const here = Math.min(count - done, 512 - first);
    if ((megapage.low & V) === 0) return address;
    if ((megapage.low & R_OR_X) !== 0) {
      if ((megapage.low & need) !== need) return address;
      for (let i = 0; i < here; i++) out[at + done + i] = megapage.page + first + i - RAM_PAGE;
      done += here;
      continue;
    }
    const table = memory.offsetOf(megapage.page * 4096);
    if (table < 0) return address;
    const { words } = memory;
    for (let i = 0; i < here; i++) {
      const entry = (table >> 2) + 2 * (first + i);
      const low = words[entry] ?? 0;
      if ((low & need) !== need || (low & R_OR_X) === 0) return address + i * 4096;
      out[at + done + i] = pageNumber(low, words[entry + 1] ?? 0) - RAM_PAGE;
    }
    done += here;
  }
  return -1;
}

/** What page tables say of private anonymous memory. */
export interface PageLook {
  /** Where it has pages of its own. */
  readonly own: readonly Range[];
  /** Where they do not tell: pages that are away or on their way, huge pages that may not be written. */
  readonly unclear: readonly Range[];
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
      const gigapage = entryAt(memory, root, Math.floor(at / GIGAPAGE) & 511);
      if ((gigapage.low & (V | R_OR_X)) !== V) {
        if (!gigapage.empty) unclear.add(at, endOf(GIGAPAGE));
        at = endOf(GIGAPAGE);
        continue;
      }
      const megapage = entryAt(memory, gigapage.page * 4096, Math.floor(at / MEGAPAGE) & 511);
      const end = endOf(MEGAPAGE);
      const table = (megapage.low & V) === 0 ? -1 : memory.offsetOf(megapage.page * 4096);
      if ((megapage.low & (V | R_OR_X)) !== V || table < 0 || ++tables > mostTables) {
        // A huge page that may be written is nobody else's, and not the huge page of zeros.
        const mine = (megapage.low & (V | W)) === (V | W) && (megapage.low & R_OR_X) !== 0;
        if (!megapage.empty) (mine ? own : unclear).add(at, end);
        at = end;
        continue;
      }
      let entry = (table >> 2) + 2 * (Math.floor(at / 4096) & 511);
      for (; at < end; at += 4096, entry += 2) {
        const low = words[entry];
        if ((low & V) !== 0 && (low & R_OR_X) !== 0) {
          if ((low & SPECIAL) === 0) own.add(at, at + 4096);
        } else if (low !== 0 || words[entry + 1] !== 0) unclear.add(at, at + 4096);
      }
    }
  }
  return { own: own.done(), unclear: unclear.done() };
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
  return (low >>> 10) + (high & 0x3fffff) * 0x400000;
}

interface Entry {
  readonly low: number;
  readonly page: number;
  /** Nothing is there, and nothing ever was. */
  readonly empty: boolean;
}

function entryAt(memory: GuestPhysical, table: number, index: number): Entry {
  const offset = memory.offsetOf(table + 8 * index);
  if (offset < 0) return { low: 0, page: 0, empty: false };
  const low = memory.words[offset >> 2] ?? 0;
  const high = memory.words[(offset >> 2) + 1] ?? 0;
  return { low, page: pageNumber(low, high), empty: low === 0 && high === 0 };
}
