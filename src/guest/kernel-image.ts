import { GuestError } from './errors.js';

/** What the header of a RISC-V Linux `Image` says (Documentation/arch/riscv/boot-image-header.rst). */
export interface KernelHeader {
  /** Where the image wants to lie, in bytes from the start of memory. */
  readonly textOffset: number;
  /** Bytes it needs there: the file, and the zeroed data behind it, which may be more than the file. */
  readonly imageSize: number;
}

const HEADER_SIZE = 64;
/** "RISCV" and "RSC\x05", little-endian. */
const MAGIC = 0x5643534952n;
const MAGIC2 = 0x05435352;

// The PE header that an image has if it can also be started as an EFI program (Microsoft PE format, 3 and 4).
const PE_OFFSET = 0x3c;
const PE_SIGNATURE = 0x4550;
const PE_HEADER = 24;
const SECTIONS = 6;
const OPTIONAL_HEADER_SIZE = 20;
const SECTION_SIZE = 40;
const SIZE_OF_RAW_DATA = 16;
const POINTER_TO_RAW_DATA = 20;

/** Looks at a file one is asked to boot. Throws GuestError `kernel-image` that says what it is instead. */
export function readKernelHeader(image: Uint8Array): KernelHeader {
  if (image.length < HEADER_SIZE) {
    throw new GuestError('kernel-image', `the kernel image has ${image.length} bytes: it is empty or cut off`);
  }
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (view.getUint32(56, true) !== MAGIC2 || view.getBigUint64(48, true) !== MAGIC) {
    throw new GuestError('kernel-image', `not a RISC-V Linux Image: ${guess(view)}`);
  }
  const textOffset = Number(view.getBigUint64(8, true));
  const imageSize = Number(view.getBigUint64(16, true));
  if ((view.getUint8(24) & 1) !== 0) throw new GuestError('kernel-image', 'the kernel image is big-endian');
  if (textOffset % 0x200000 !== 0 || textOffset > 2 ** 32) {
    throw new GuestError('kernel-image', `the kernel image's header is damaged: load offset ${textOffset}`);
  }
  if (imageSize === 0 || imageSize > 2 ** 32) {
    throw new GuestError('kernel-image', `the kernel image's header is damaged: size ${imageSize}`);
  }
  const whole = lengthBySections(view);
  if (image.length < whole) {
    throw new GuestError('kernel-image', `the kernel image is cut off: ${image.length} bytes of ${whole}`);
  }
  return { textOffset, imageSize: Math.max(imageSize, image.length) };
}

/**
 * How long the file has to be for all sections that its PE header lists; 0 if it has none. The size in its own header
 * does not tell: what is zero at the end is not in the file, and may be most of it.
 */
function lengthBySections(view: DataView): number {
  const pe = view.getUint32(PE_OFFSET, true);
  if (pe < HEADER_SIZE || pe + PE_HEADER > view.byteLength || view.getUint32(pe, true) !== PE_SIGNATURE) return 0;
  const first = pe + PE_HEADER + view.getUint16(pe + OPTIONAL_HEADER_SIZE, true);
  let end = 0;
  for (let i = 0; i < view.getUint16(pe + SECTIONS, true); i++) {
    const section = first + i * SECTION_SIZE;
    if (section + SECTION_SIZE > view.byteLength) return section + SECTION_SIZE;
    const size = view.getUint32(section + SIZE_OF_RAW_DATA, true);
    if (size > 0) end = Math.max(end, view.getUint32(section + POINTER_TO_RAW_DATA, true) + size);
  }
  return end;
}

/** Whether a kernel's image has this text in it, ended by a NUL, as names and messages of what is built in are. */
export function imageHolds(image: Uint8Array, text: string): boolean {
  const pattern = new TextEncoder().encode(`${text}\0`);
  for (let at = image.indexOf(pattern[0]); at >= 0; at = image.indexOf(pattern[0], at + 1)) {
    let i = 1;
    while (i < pattern.length && image[at + i] === pattern[i]) i++;
    if (i === pattern.length) return true;
  }
  return false;
}

function guess(view: DataView): string {
  const first = view.getUint32(0, true);
  if ((first & 0xffff) === 0x8b1f) return 'it is gzip-compressed; uncompress it first (gunzip)';
  if (first === 0xfd2fb528) return 'it is zstd-compressed; uncompress it first (unzstd)';
  if (first === 0x464c457f) return 'it is an ELF file; boot the "Image" made from it (objcopy -O binary)';
  if ((first & 0xffff) === 0x5a4d) {
    return 'it has a PE header (an EFI program or another architecture); bring an uncompressed riscv64 Image';
  }
  return 'its header has no RISC-V magic';
}
