/**
 * A walk of a guest's Sv39 page tables from outside, for the host's own use: it checks
 * presence, not permissions, and changes nothing. The hart's walker is in hart/core/mmu.ts.
 */
const V = 1n;
const R_OR_X = 0b1010n;
const PPN_MASK = (1n << 44n) - 1n;

/**
 * Guest-physical address behind `va`, or -1 if the tables `satp` names map nothing there.
 * `offsetOf` gives the byte offset in `view` of a guest-physical address, or -1.
 */
export function walkSv39(view: DataView, offsetOf: (address: number) => number, satp: bigint, va: bigint): number {
  if (satp >> 60n !== 8n) return -1;
  if (BigInt.asIntN(39, va) !== BigInt.asIntN(64, va)) return -1;
  let table = (satp & PPN_MASK) << 12n;
  for (let level = 2n; level >= 0n; level--) {
    const shift = 12n + 9n * level;
    const offset = offsetOf(Number(table + (((va >> shift) & 511n) << 3n)));
    if (offset < 0) return -1;
    const pte = view.getBigUint64(offset, true);
    if ((pte & V) === 0n) return -1;
    const base = ((pte >> 10n) & PPN_MASK) << 12n;
    if ((pte & R_OR_X) !== 0n) return Number(base | (va & ((1n << shift) - 1n)));
    table = base;
  }
  return -1;
}
