/**
 * Walks over runs of a guest's pages from outside, for the frame mover: Sv39 (privileged specification,
 * 12.4), as walkSv39 in vmm/page-walk.ts does for one address, but a leaf table at a time.
 *
 *     page table entry:  63…54 reserved   53…10 page number   9…8 software   D A G U X W R V
 */
import { RAM_BASE } from '../../vmm/address-space.js';

const V = 1;
const R_OR_X = 0b1010;
const W = 0b100;
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

function pageNumber(low: number, high: number): number {
  return (low >>> 10) + (high & 0x3fffff) * 0x400000;
}

function entryAt(memory: GuestPhysical, table: number, index: number): { low: number; page: number } {
  const offset = memory.offsetOf(table + 8 * index);
  if (offset < 0) return { low: 0, page: 0 };
  const low = memory.words[offset >> 2] ?? 0;
  return { low, page: pageNumber(low, memory.words[(offset >> 2) + 1] ?? 0) };
}
