import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { O } from '../linux/flags.js';
import { whileOpen } from '../linux/making.js';
import { check, open } from '../linux/os.js';

const READ = 0x8000;
const AT_ONCE = 8;
const MOST_ENTRIES = 200_000;

interface Entry {
  readonly name: string;
  /** The position behind it, which means something only in this folder of this OS instance. */
  readonly next: bigint;
}

/** The names that somebody has read who stands at a position in a folder. `at`: leads to it, for the hands. */
export async function namesBefore(hands: Hands, at: string, position: number): Promise<readonly string[]> {
  const fd = await open(hands, at, O.RDONLY | O.DIRECTORY | O.NOATIME);
  return whileOpen(hands, fd, async () => {
    const entries = await entriesOf(hands, fd, at);
    const last = entries.findIndex((e) => e.next === BigInt(position));
    // What stood there is gone, or it stands at the end.
    return entries.slice(0, last < 0 ? entries.length : last + 1).map((e) => e.name);
  });
}

/** Whether there is nothing in a folder. */
export async function isEmpty(hands: Hands, at: string): Promise<boolean> {
  const fd = await open(hands, at, O.RDONLY | O.DIRECTORY | O.NOATIME);
  const entries = await whileOpen(hands, fd, () => entriesOf(hands, fd, at));
  return entries.every(({ name }) => name === '.' || name === '..');
}

/** Goes in a folder to where these names have been read: nothing is left out, where the order is another something comes again. */
export async function goBehind(hands: Hands, fd: number, names: readonly string[], what: string): Promise<void> {
  const read = new Set(names);
  const entries = await entriesOf(hands, fd, what);
  const next = entries.findIndex((e) => !read.has(e.name));
  const last = entries[(next < 0 ? entries.length : next) - 1];
  check(await hands.syscall(SYS.lseek, fd, last?.next ?? 0, 0), `going to a place in ${what}`);
}

async function entriesOf(hands: Hands, fd: number, what: string): Promise<Entry[]> {
  const out: Entry[] = [];
  for (;;) {
    const b = hands.batch();
    const reads = Array.from({ length: AT_ONCE }, () => {
      const buf = b.out(READ);
      return { buf, n: b.mustFind(SYS.getdents64, fd, buf, READ) };
    });
    const r = await b.run();
    for (const { buf, n } of reads) {
      const length = check(r.value(n), `reading ${what}`);
      if (length === 0) return out;
      out.push(...parse(r.bytes(buf, length)));
    }
    if (out.length > MOST_ENTRIES) throw unsupported('a place in a folder with very many names', what);
  }
}

/** `struct linux_dirent64`: ino u64, off u64, reclen u16, type u8, name. */
function parse(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: Entry[] = [];
  for (let at = 0; at + 19 <= bytes.length;) {
    const length = view.getUint16(at + 16, true);
    if (length < 19 || at + length > bytes.length) break;
    const name = new TextDecoder().decode(bytes.subarray(at + 19, bytes.indexOf(0, at + 19)));
    out.push({ name, next: view.getBigInt64(at + 8, true) });
    at += length;
  }
  return out;
}
