/** Disk images that are not raw: a guest that wrote to one as if it were would destroy it. */
import type { FileHandle } from 'node:fs/promises';

/** `at`: from the beginning, or from the end where negative. */
const MAGICS: readonly { readonly at: number; readonly magic: string; readonly format: string }[] = [
  { at: 0, magic: 'QFI\xfb', format: 'a qcow2 image' },
  { at: 0, magic: 'QED\0', format: 'a QED image' },
  { at: 0, magic: 'KDMV', format: 'a VMDK image' },
  { at: 0, magic: 'COWD', format: 'a VMDK image' },
  { at: 0, magic: '# Disk DescriptorFile', format: 'a VMDK descriptor' },
  { at: 0x40, magic: '\x7f\x10\xda\xbe', format: 'a VDI image' },
  { at: 0, magic: 'vhdxfile', format: 'a VHDX image' },
  { at: 0, magic: 'conectix', format: 'a VHD image' },
  { at: -512, magic: 'conectix', format: 'a VHD image' },
  { at: 0, magic: 'WithoutFreeSpace', format: 'a Parallels image' },
  { at: 0, magic: 'WithouFreSpacExt', format: 'a Parallels image' },
  { at: -512, magic: 'koly', format: 'a DMG image' },
  { at: 0, magic: '\x1f\x8b\x08', format: 'compressed with gzip' },
  { at: 0, magic: '\xfd7zXZ\0', format: 'compressed with xz' },
  { at: 0, magic: '\x28\xb5\x2f\xfd', format: 'compressed with zstd' },
  { at: 0, magic: 'BZh', format: 'compressed with bzip2' },
  { at: 0, magic: '\x04\x22\x4d\x18', format: 'compressed with lz4' },
  { at: 0, magic: 'PK\x03\x04', format: 'a zip archive' },
];

/** What the file is if its first or last bytes say that it is no raw image. */
export async function foreignFormat(file: FileHandle): Promise<string | undefined> {
  const { size } = await file.stat();
  for (const { at, magic, format } of MAGICS) {
    const wanted = Buffer.from(magic, 'latin1');
    // Of a block device, `size` is 0: its end is not looked at.
    const position = at < 0 ? size + at : at;
    if (position < 0) continue;
    const found = Buffer.alloc(wanted.length);
    await file.read(found, 0, found.length, position);
    if (found.equals(wanted)) return format;
  }
  return undefined;
}
