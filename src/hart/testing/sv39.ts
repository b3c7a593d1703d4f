/** Sv39 page tables in a bare hart's RAM (privileged specification 12.4), for tests. */
import { SATP } from '../state.js';
import type { BareHart } from './bare-hart.js';

export const V = 1;
export const R = 2;
export const W = 4;
export const X = 8;
export const U = 16;
export const G = 32;
export const A = 64;
export const D = 128;

/** A leaf's PTE. */
export const leaf = (physical: bigint, flags: number): bigint => ((physical >> 12n) << 10n) | BigInt(flags);

export class PageTables {
  readonly root: bigint;
  private next: bigint;

  /** Tables take pages from `start` on, which must be zero. */
  constructor(
    private readonly hart: BareHart,
    start: bigint,
  ) {
    this.root = start;
    this.next = start + 0x1000n;
  }

  /** Physical address of the PTE of `va` at `level` (0 for 4 KiB pages); makes the tables above it. */
  entry(va: bigint, level = 0): bigint {
    let table = this.root;
    for (let at = 2; ; at--) {
      const place = table + ((BigInt.asUintN(64, va) >> BigInt(12 + 9 * at)) & 511n) * 8n;
      if (at === level) return place;
      if ((this.hart.read64(place) & 1n) === 0n) {
        this.hart.write64(place, leaf(this.next, V));
        this.next += 0x1000n;
      }
      table = (this.hart.read64(place) >> 10n) << 12n;
    }
  }

  /** Maps the page of `va` at `level`; returns where its PTE is. */
  map(va: bigint, physical: bigint, flags: number, level = 0): bigint {
    const at = this.entry(va, level);
    this.hart.write64(at, leaf(physical, flags));
    return at;
  }

  /** Switches the hart's translation on, with nothing cached. */
  use(): void {
    this.hart.set(SATP, (8n << 60n) | (this.root >> 12n));
    this.hart.core.flush(this.hart.h);
  }
}
