/** A static RISC-V ELF executable of one loaded segment, made by hand. */

const HEADERS = 0x1000;

/** `image` is loaded at `base` (page-aligned), readable, writable and executable; it starts at `entry`. */
export function elfExecutable(image: Uint8Array, base: number, entry: number): Uint8Array {
  const file = new Uint8Array(HEADERS + image.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(0x10, 2, true); // executable
  view.setUint16(0x12, 243, true); // RISC-V
  view.setUint32(0x14, 1, true);
  view.setBigUint64(0x18, BigInt(entry), true);
  view.setBigUint64(0x20, 64n, true); // program headers
  view.setUint32(0x30, 5, true); // compressed instructions, double-float ABI
  view.setUint16(0x34, 64, true);
  view.setUint16(0x36, 56, true);
  view.setUint16(0x38, 1, true);
  view.setUint16(0x3a, 64, true);

  view.setUint32(0x40, 1, true); // PT_LOAD
  view.setUint32(0x44, 7, true);
  view.setBigUint64(0x48, BigInt(HEADERS), true);
  view.setBigUint64(0x50, BigInt(base), true);
  view.setBigUint64(0x58, BigInt(base), true);
  view.setBigUint64(0x60, BigInt(image.length), true);
  view.setBigUint64(0x68, BigInt(image.length), true);
  view.setBigUint64(0x70, 0x1000n, true);
  file.set(image, HEADERS);
  return file;
}
