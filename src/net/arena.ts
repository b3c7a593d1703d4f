/**
 * Frames carved from larger buffers: an ArrayBuffer of its own costs a frame more than everything else about it.
 * A slab lives until its last frame is dropped; nothing is ever handed out twice.
 */
import { copyFrame } from './large.js';

const SLAB = 256 * 1024;

/**
 * The frame without the buffer around it, if that is much larger: for frames that wait for long. Few frames would
 * otherwise keep many slabs.
 */
export function compact(frame: Uint8Array): Uint8Array {
  return frame.buffer.byteLength > 2 * frame.length + 4096 ? copyFrame(frame) : frame;
}

export class FrameArena {
  #slab = new ArrayBuffer(SLAB);
  #at = 0;

  /** A zeroed frame of `length` bytes, starting on a multiple of 8 (the checksum reads 16-bit words). */
  allocate(length: number): Uint8Array {
    if (length > SLAB / 4) return new Uint8Array(length);
    if (this.#at + length > SLAB) {
      this.#slab = new ArrayBuffer(SLAB);
      this.#at = 0;
    }
    const frame = new Uint8Array(this.#slab, this.#at, length);
    this.#at = (this.#at + length + 7) & ~7;
    return frame;
  }
}
