/**
 * A walk of a guest's Sv39 page tables from outside, for the host's own use: it checks
 * presence, not permissions, and changes nothing. The hart's walker is in hart/core/mmu.ts.
 *
 *     page table entry:  63…54 reserved   53…10 page number   9…8 software   D A G U X W R V
 */
const V = 1;
const R_OR_X = 0b1010;
const PPN_MASK = (1n << 44n) - 1n;
const SV39 = 8n;
const ENTRIES = 512;

/**
 * Guest-physical address behind `va`, or -1 if the tables `satp` names map nothing there.
 * `offsetOf` gives the byte offset in the memory that `words` shows of a guest-physical address, or -1.
 */
export function walkSv39(words: Int32Array, offsetOf: (address: number) => number, satp: bigint, va: bigint): number {
  if (satp >> 60n !== SV39) return -1;
  if (BigInt.asIntN(39, va) !== BigInt.asIntN(64, va)) return -1;
  const address = Number(BigInt.asUintN(39, va));
  let table = Number(satp & PPN_MASK) * 4096;
  for (let size = 2 ** 30; size >= 4096; size /= ENTRIES) {
    const offset = offsetOf(table + 8 * (Math.floor(address / size) % ENTRIES));
    if (offset < 0) return -1;
    const low = words[offset >>> 2];
    if ((low & V) === 0) return -1;
    const page = (low >>> 10) + (words[(offset >>> 2) + 1] & 0x3fffff) * 0x400000;
    // A page may be named in the middle of a large one: what the address says within it counts.
    if ((low & R_OR_X) !== 0) return Math.floor((page * 4096) / size) * size + (address % size);
    table = page * 4096;
  }
  return -1;
}
