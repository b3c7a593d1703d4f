/**
 * Initramfs archives: cpio in the `newc` format, uncompressed, as the kernel reads them
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 *   offset  size  field (8 hexadecimal digits each, after the magic)
 *        0     6  c_magic "070701"
 *        6     8  c_ino       14  c_mode     22  c_uid       30  c_gid
 *       38     8  c_nlink     46  c_mtime    54  c_filesize  62  c_maj
 *       70     8  c_min       78  c_rmaj     86  c_rmin      94  c_namesize
 *      102     8  c_chksum (0)
 *      110     n  name with its NUL, padded to 4 with the header
 *              m  data, padded to 4
 *
 * The last entry is called "TRAILER!!!". The kernel takes several archives in a row, with zeroes
 * between; a file of a later one replaces a file of an earlier one.
 */
import { concatBytes, toBytes, toText } from './bytes.js';
import { ImageError } from './errors.js';

/** A file, folder or link of a cpio archive. */
export interface CpioEntry {
  /** Path without a leading slash, for example `usr/bin/sh`. */
  path: string;
  /** File type and permissions as in `st_mode`, for example 0o100755. A permission alone is a regular file, or a link when `symlink` is there. */
  mode: number;
  uid?: number;
  gid?: number;
  /** Contents of a regular file. */
  data?: Uint8Array | string;
  /** Target of a symbolic link. */
  symlink?: string;
  /** Major and minor number of a device node. */
  rdev?: readonly [major: number, minor: number];
}

const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;
const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;

const HEADER = 110;
const TRAILER = 'TRAILER!!!';
/** The archive's length is a multiple of this, so that another one can follow. */
const BLOCK = 512;

const pad4 = (n: number): number => (n + 3) & ~3;

/**
 * One archive. The same entries give the same bytes, in whatever order they come: paths are sorted,
 * times are zero, inode numbers count up. Folders that no entry names are made with mode 0755.
 *
 * @throws ImageError `invalid` for a path given twice, or one that is absolute, empty, or goes up.
 *
 * @example
 * const archive = buildCpio([{ path: 'init', mode: 0o755, data: '#!/bin/sh\necho hello\n' }]);
 */
export function buildCpio(entries: readonly CpioEntry[]): Uint8Array {
  const byPath = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const { path } = entry;
    if (path === '' || path.split('/').some((p) => p === '' || p === '.' || p === '..')) {
      throw new ImageError('invalid', `cpio: "${path}" is not a relative path`);
    }
    if (byPath.has(path)) throw new ImageError('invalid', `cpio: "${path}" is there twice`);
    byPath.set(path, entry);
  }
  for (const path of [...byPath.keys()]) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const folder = path.slice(0, at);
      if (!byPath.has(folder)) byPath.set(folder, { path: folder, mode: S_IFDIR | 0o755 });
    }
  }
  // By UTF-16 unit, not by locale: the order must not depend on the machine. A folder sorts before what it holds.
  const sorted = [...byPath.keys()].sort((a, b) => (a < b ? -1 : 1));
  const parts: Uint8Array[] = [];
  let length = 0;
  const push = (part: Uint8Array): void => {
    parts.push(part);
    length += part.length;
    const gap = pad4(length) - length;
    if (gap > 0) {
      parts.push(new Uint8Array(gap));
      length += gap;
    }
  };
  sorted.forEach((path, index) => {
    const entry = byPath.get(path)!;
    const data = toBytes(entry.symlink ?? entry.data ?? '');
    push(header(path, index + 1, entry, data.length));
    push(data);
  });
  push(header(TRAILER, 0, { path: TRAILER, mode: 0 }, 0));
  parts.push(new Uint8Array((BLOCK - (length % BLOCK)) % BLOCK));
  return concatBytes(parts);
}

function header(path: string, ino: number, entry: CpioEntry, size: number): Uint8Array {
  const type = (entry.mode & S_IFMT) !== 0 || ino === 0 ? 0 : entry.symlink === undefined ? S_IFREG : S_IFLNK;
  const mode = entry.mode | type;
  const name = toBytes(`${path}\0`);
  const [major, minor] = entry.rdev ?? [0, 0];
  const links = (mode & S_IFMT) === S_IFDIR ? 2 : 1;
  const fields = [ino, mode, entry.uid ?? 0, entry.gid ?? 0, links, 0, size, 0, 0, major, minor, name.length, 0];
  const text = `070701${fields.map((n) => n.toString(16).toUpperCase().padStart(8, '0')).join('')}`;
  return concatBytes([toBytes(text), name]);
}

/** Archives in a row: the kernel unpacks one after the other, later files replace earlier ones. */
export function concatCpio(archives: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    archives.flatMap((archive) => [archive, new Uint8Array((BLOCK - (archive.length % BLOCK)) % BLOCK)]),
  );
}

/**
 * The entries of one archive or several in a row, in their order. Modes are whole (`st_mode`).
 *
 * @throws ImageError `corrupt` where the bytes are not an archive.
 */
export function readCpio(archive: Uint8Array): CpioEntry[] {
  const entries: CpioEntry[] = [];
  let at = 0;
  while (at < archive.length) {
    // Zeroes may stand between archives.
    if (archive[at] === 0) {
      at++;
      continue;
    }
    const text = toText(archive.subarray(at, at + HEADER));
    if (!/^070701[0-9a-fA-F]{104}$/.test(text)) throw new ImageError('corrupt', `cpio: no header at byte ${at}`);
    const field = (index: number): number => parseInt(text.slice(6 + index * 8, 14 + index * 8), 16);
    const [size, nameSize] = [field(6), field(11)];
    const nameAt = at + HEADER;
    const dataAt = pad4(nameAt + nameSize);
    const end = pad4(dataAt + size);
    if (nameSize === 0 || dataAt + size > archive.length) {
      throw new ImageError('corrupt', `cpio: the entry at byte ${at} ends behind the archive`);
    }
    const path = toText(archive.subarray(nameAt, nameAt + nameSize - 1));
    at = end;
    if (path === TRAILER) continue;
    const mode = field(1);
    const data = archive.subarray(dataAt, dataAt + size);
    const entry: CpioEntry = { path, mode, uid: field(2), gid: field(3) };
    if ((mode & S_IFMT) === S_IFLNK) entry.symlink = toText(data);
    else if ((mode & S_IFMT) === S_IFREG) entry.data = data;
    else if ((mode & S_IFMT) !== S_IFDIR) entry.rdev = [field(9), field(10)];
    entries.push(entry);
  }
  return entries;
}
