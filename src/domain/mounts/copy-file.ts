import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, ENOENT, O } from '../linux/flags.js';
import { whileOpen } from '../linux/making.js';
import { check } from '../linux/os.js';

const CHUNK = 0x80000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/**
 * Copies what a file has to one of the same size that is all holes; both by a path of their hands. Answers the bytes. Throws
 * `changed`, passing, if it is gone since it was looked at.
 */
export async function copyFile(source: Hands, from: string, to: Hands, into: string, size: number): Promise<number> {
  const a = source.batch();
  const found = a.call(SYS.openat, AT_FDCWD, a.str(from), O.RDONLY | O.NOATIME | O.CLOEXEC, 0);
  const reading = (await a.run()).value(found);
  if (reading === -ENOENT) throw new DomainError('changed', `${from} is gone`, { passing: true });
  check(reading, `opening ${from}`);
  return whileOpen(source, reading, async () => {
    const b = to.batch();
    const opened = b.call(SYS.openat, AT_FDCWD, b.str(into), O.WRONLY | O.CLOEXEC, 0);
    const writing = check((await b.run()).value(opened), `opening ${into}`);
    return whileOpen(to, writing, async () => {
      let copied = 0;
      for (let at = 0; at < size;) {
        const start = await source.syscall(SYS.lseek, reading, at, SEEK_DATA);
        if (start < 0) break;
        const end = check(await source.syscall(SYS.lseek, reading, start, SEEK_HOLE), 'looking for a hole');
        for (at = start; at < end;) {
          const r = source.batch();
          const out = r.out(Math.min(CHUNK, end - at));
          const got = r.call(SYS.pread64, reading, out, out.length, at);
          const read = await r.run();
          const length = check(read.value(got), `reading ${from}`);
          if (length === 0) return copied;
          const w = to.batch();
          const wrote = w.call(SYS.pwrite64, writing, w.bytes(read.bytes(out, length)), length, at);
          if ((await w.run()).value(wrote) !== length) throw new DomainError('guest', `cannot write ${into}`);
          at += length;
          copied += length;
        }
      }
      return copied;
    });
  });
}
