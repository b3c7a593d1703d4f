const encoder = new TextEncoder();

/** A growing byte buffer with WebAssembly's variable-length integers (LEB128; core specification 5.2.2). */
export class ByteWriter {
  private buffer: Uint8Array;
  length = 0;

  /** Small buffers cost least: they lie in the engine's own heap. */
  constructor(capacity = 64) {
    this.buffer = new Uint8Array(capacity);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(this.buffer.length * 4, this.length + more));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }

  u8(value: number): void {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length++] = value;
  }

  /** Writes over a byte. */
  patch(at: number, value: number): void {
    this.buffer[at] = value;
  }

  /** Unsigned LEB128 of a 32-bit value. */
  u32(value: number): void {
    value >>>= 0;
    while (value > 0x7f) {
      this.u8((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    this.u8(value);
  }

  /** Signed LEB128 of a 32-bit value. */
  s32(value: number): void {
    value |= 0;
    while (value < -64 || value > 63) {
      this.u8((value & 0x7f) | 0x80);
      value >>= 7;
    }
    this.u8(value & 0x7f);
  }

  /** Signed LEB128 of a 64-bit value in two halves. */
  s64(hi: number, lo: number): void {
    hi |= 0;
    lo |= 0;
    while (hi !== lo >> 31 || lo < -64 || lo > 63) {
      this.u8((lo & 0x7f) | 0x80);
      lo = (lo >>> 7) | (hi << 25);
      hi >>= 7;
    }
    this.u8(lo & 0x7f);
  }

  /** A little-endian 32-bit word. */
  word(value: number): void {
    this.u8(value & 0xff);
    this.u8((value >>> 8) & 0xff);
    this.u8((value >>> 16) & 0xff);
    this.u8(value >>> 24);
  }

  name(text: string): void {
    const bytes = encoder.encode(text);
    this.u32(bytes.length);
    this.append(bytes);
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** The bytes written so far; valid until the next write. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}
