/** Small files and folders of a guest (`/sys`, `/proc`), read and written by its hands. */
import type { Hands } from './hands.js';
import { SYS } from './syscalls.js';

const AT_FDCWD = -100;
const O_WRONLY = 1;
const O_DIRECTORY = 0o200000;
const O_CLOEXEC = 0o2000000;
/** Room for what a short folder has in it; with more, what does not fit is left out. */
const SHORT = 0x2000;

const utf8 = new TextDecoder();

/** Writes a short text into an existing file (`/proc`, `/sys`, cgroups). Answers 0 or `-errno`. */
export async function writeText(hands: Hands, path: string, value: string): Promise<number> {
  const b = hands.batch();
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(path), O_WRONLY | O_CLOEXEC, 0);
  const n = b.call(SYS.write, fd, b.str(value), new TextEncoder().encode(value).length);
  b.call(SYS.close, fd);
  const r = await b.run();
  return r.value(fd) < 0 ? r.value(fd) : Math.min(0, r.value(n));
}

/** Names in a folder of sysfs; undefined if there is none. */
export async function shortFolder(hands: Hands, path: string): Promise<readonly string[] | undefined> {
  const b = hands.batch();
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(path), O_DIRECTORY | O_CLOEXEC, 0);
  const entries = b.out(SHORT);
  const n = b.call(SYS.getdents64, fd, entries, SHORT);
  b.call(SYS.close, fd);
  const r = await b.run();
  return r.value(fd) < 0 || r.value(n) < 0 ? undefined : direntNames(r.bytes(entries, r.value(n)));
}

/** `struct linux_dirent64`: ino u64, off u64, reclen u16, type u8, name. */
export function direntNames(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const names: string[] = [];
  for (let at = 0; at + 19 <= bytes.length;) {
    const length = view.getUint16(at + 16, true);
    if (length < 19 || at + length > bytes.length) break;
    const end = bytes.indexOf(0, at + 19);
    const name = utf8.decode(bytes.subarray(at + 19, end));
    if (name !== '.' && name !== '..') names.push(name);
    at += length;
  }
  return names;
}
