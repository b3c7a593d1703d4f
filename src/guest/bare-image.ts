import { assemble } from '../hart/isa/assembler.js';
import { RAM_START } from '../partition/address-space.js';

/** Behind the header of a Linux `Image`, 64 bytes. */
export const BARE_HEADER = 64;

/** How a bare image lies in memory. */
export interface BareLayout {
  /** Bytes from `offset` on. */
  readonly size: number;
  /** From the start of memory, a multiple of 2 MiB; 0 unless told. */
  readonly offset?: number;
  /** Where the code begins, from the start of the image; behind the header unless told. */
  readonly entry?: number;
}

/**
 * A program without an operating system as something that can be booted: behind the header of a Linux `Image`
 * (Documentation/arch/riscv/boot-image-header.rst).
 */
export class BareImage {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #start: number;

  constructor({ size, offset = 0, entry = BARE_HEADER }: BareLayout) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.#start = RAM_START + offset;
    this.bytes.set(assemble(`j ${entry}`, 0n).code);
    this.view.setBigUint64(8, BigInt(offset), true);
    this.view.setBigUint64(16, BigInt(size), true);
    this.view.setBigUint64(48, 0x5643534952n, true);
    this.view.setUint32(56, 0x05435352, true);
  }

  /** Puts code or data at a guest-physical address. */
  put(address: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, address - this.#start);
  }
}
