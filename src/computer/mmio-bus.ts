import type { MmioRegion } from './dma.js';

/** Which register answers at a guest-physical address outside memory. One per hart thread. */
export class MmioBus {
  readonly #regions: readonly MmioRegion[];
  /** Halves of the last value read; a field, so that a read allocates nothing. */
  low = 0;
  high = 0;

  constructor(regions: readonly MmioRegion[]) {
    this.#regions = regions;
  }

  /** Reads 2^width bytes into `low` and `high`, zero-extended; false if nothing is there. */
  load(address: number, width: number): boolean {
    const region = this.#find(address);
    if (region === undefined) return false;
    const offset = address - region.base;
    if (width === 3) {
      this.low = region.read(offset, 4);
      this.high = region.read(offset + 4, 4);
    } else {
      this.low = region.read(offset, 1 << width);
      this.high = 0;
    }
    return true;
  }

  /** Writes the low 2^width bytes of the value; false if nothing is there. */
  store(address: number, width: number, low: number, high: number): boolean {
    const region = this.#find(address);
    if (region === undefined) return false;
    const offset = address - region.base;
    if (width === 3) {
      region.write(offset, 4, low >>> 0);
      region.write(offset + 4, 4, high >>> 0);
    } else {
      const bits = 8 << width;
      region.write(offset, 1 << width, width === 2 ? low >>> 0 : low & (2 ** bits - 1));
    }
    return true;
  }

  #find(address: number): MmioRegion | undefined {
    for (const region of this.#regions) {
      if (address >= region.base && address < region.base + region.size) return region;
    }
    return undefined;
  }
}
