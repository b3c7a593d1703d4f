/**
 * Reads .xz files (tukaani.org/xz/xz-file-format.txt) as kernel modules come: LZMA2 alone, and a
 * CRC-32 or no check. Debian's modules are made with `xz --check=crc32 --lzma2=dict=1MiB`.
 *
 *   FD 37 7A 58 5A 00 | flags 2 | CRC-32 | block ... | index | CRC-32 | backward size | flags 2 | "YZ"
 *   block: size byte | flags | sizes | filters | padding | CRC-32 | LZMA2 chunks | padding | check
 *
 * A small module in TypeScript, so that the host needs no xz-utils and the browser can do it too.
 */
import { indexOfBytes } from './bytes.js';
import { crc32 } from './crc32.js';
import { ImageError } from './errors.js';
import { Lzma2Decoder } from './lzma.js';

const MAGIC = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0);
const HEADER = 12;
const FILTER_LZMA2 = 0x21;
const CHECK_SIZES: Readonly<Record<number, number | undefined>> = { 0: 0, 1: 4 };

const corrupt = (what: string): ImageError => new ImageError('corrupt', `xz: ${what}`);

export const isXz = (data: Uint8Array): boolean => indexOfBytes(data.subarray(0, MAGIC.length), MAGIC) === 0;

/**
 * The contents of one .xz stream.
 *
 * @throws ImageError `corrupt` when it is not one, is damaged, or uses a filter or check other than the above.
 */
export function readXz(data: Uint8Array): Uint8Array {
  if (!isXz(data) || data.length < HEADER) throw corrupt('not an .xz file');
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(8, true) !== crc32(data.subarray(6, 8))) throw corrupt('the header is damaged');
  const checkSize = CHECK_SIZES[data[7]];
  if (data[6] !== 0 || checkSize === undefined) throw corrupt(`check type ${data[7]} is not supported`);
  const decoder = new Lzma2Decoder(data.length * 5);
  let at = HEADER;
  for (;;) {
    if (at >= data.length) throw corrupt('the data ends early');
    if (data[at] === 0) break;
    const begin = decoder.output.length;
    const chunks = blockHeader(data, view, at);
    const end = decoder.decode(data, chunks);
    const check = chunks + Math.ceil((end - chunks) / 4) * 4;
    if (check + checkSize > data.length) throw corrupt('the data ends early');
    if (checkSize === 4 && view.getUint32(check, true) !== crc32(decoder.output.subarray(begin))) {
      throw corrupt('the contents are damaged');
    }
    at = check + checkSize;
  }
  return decoder.output;
}

/** Checks a block's header at `at`; returns where its chunks begin. */
function blockHeader(data: Uint8Array, view: DataView, at: number): number {
  const size = (data[at] + 1) * 4;
  const end = at + size - 4;
  if (at + size > data.length) throw corrupt('the data ends early');
  if (view.getUint32(end, true) !== crc32(data.subarray(at, end))) throw corrupt('a block header is damaged');
  const flags = data[at + 1];
  let next = at + 2;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 63; shift += 7) {
      if (next >= end) throw corrupt('a block header ends early');
      const byte = data[next++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  if ((flags & 0x40) !== 0) number();
  if ((flags & 0x80) !== 0) number();
  const filter = number();
  if ((flags & 3) !== 0 || filter !== FILTER_LZMA2) throw corrupt(`filter ${filter} is not supported`);
  return at + size;
}
