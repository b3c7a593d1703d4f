import { GuestError } from './errors.js';

/** What the header of a RISC-V Linux `Image` says (Documentation/arch/riscv/boot-image-header.rst). */
export interface KernelHeader {
  /** Where the image wants to lie, in bytes from the start of memory. */
  readonly textOffset: number;
  /** Bytes it needs there, its zeroed data included. */
  readonly imageSize: number;
}

const HEADER_SIZE = 64;
/** "RISCV" and "RSC\x05", little-endian. */
const MAGIC = 0x5643534952n;
const MAGIC2 = 0x05435352;

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
  // The file holds all but the zeroed data at the end, which is a small part.
  if (imageSize === 0 || imageSize > 2 ** 32) {
    throw new GuestError('kernel-image', `the kernel image's header is damaged: size ${imageSize}`);
  }
  if (image.length < imageSize / 2) {
    throw new GuestError(
      'kernel-image',
      `the kernel image is cut off: ${image.length} bytes of a kernel that takes ${imageSize}`,
    );
  }
  return { textOffset, imageSize: Math.max(imageSize, image.length) };
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
