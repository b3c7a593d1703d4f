import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { whileOpen } from '../linux/making.js';
import { check } from '../linux/os.js';
import type { ProcessView } from '../proc/survey.js';
import { isObject, isWritable } from './layout.js';

const CHUNK = 0x80000;
/** What is read or written together with the opening of its file. */
const SMALL = 0x10000;

/**
 * Paths of files that the domain may be changing: open for writing, or mapped so that writing reaches the
 * file. Their contents go along; any other file must be there already, the same.
 */
export function carriedPaths(views: readonly ProcessView[]): Set<string> {
  const out = new Set<string>();
  for (const view of views) {
    for (const d of view.descriptors) {
      const plain = d.link.startsWith('/') && !d.link.startsWith('/dev/') && !d.link.startsWith('/memfd:');
      if (plain && (d.info.flags & O.ACCMODE) !== O.RDONLY) out.add(d.link);
    }
    for (const v of view.vmas) if (v.ino !== 0 && v.shared && isWritable(v) && !isObject(v)) out.add(v.path);
  }
  return out;
}

/** A whole file. Throws `guest`. */
export async function readContents(hands: Hands, path: string, size: number): Promise<Uint8Array> {
  if (size <= SMALL) return readSmall(hands, path, size);
  const contents = new Uint8Array(size);
  const open = hands.batch();
  const own = open.call(SYS.openat, AT_FDCWD, open.str(path), O.RDONLY | O.CLOEXEC, 0);
  const fd = check((await open.run()).value(own), `opening ${path}`);
  await whileOpen(hands, fd, async () => {
    for (let at = 0; at < size;) {
      const b = hands.batch();
      const buf = b.out(Math.min(CHUNK, size - at));
      const got = b.call(SYS.pread64, fd, buf, buf.length, at);
      const r = await b.run();
      const length = check(r.value(got), `reading ${path}`);
      if (length === 0) break;
      contents.set(r.bytes(buf, length), at);
      at += length;
    }
  });
  return contents;
}

/** As {@link readContents}, on one way there and back. */
async function readSmall(hands: Hands, path: string, size: number): Promise<Uint8Array> {
  const b = hands.batch();
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(path), O.RDONLY | O.CLOEXEC, 0);
  const buf = b.out(size);
  const got = b.call(SYS.pread64, fd, buf, size, 0);
  b.call(SYS.close, fd);
  const r = await b.run();
  check(r.value(fd), `opening ${path}`);
  const contents = new Uint8Array(size);
  contents.set(r.bytes(buf, check(r.value(got), `reading ${path}`)));
  return contents;
}

/** Makes a file with these contents, and the folders it lies in, or gives them to the one that is there. Throws `guest`. */
export async function writeContents(hands: Hands, path: string, mode: number, contents: Uint8Array): Promise<void> {
  const b = hands.batch();
  for (let slash = path.indexOf('/', 1); slash > 0; slash = path.indexOf('/', slash + 1))
    b.call(SYS.mkdirat, AT_FDCWD, b.str(path.slice(0, slash)), 0o755);
  const made = b.call(SYS.openat, AT_FDCWD, b.str(path), O.WRONLY | O.CREAT | O.TRUNC | O.CLOEXEC, mode);
  b.call(SYS.fchmod, made, mode);
  if (contents.length <= SMALL) {
    const wrote = b.call(SYS.pwrite64, made, b.bytes(contents), contents.length, 0);
    b.call(SYS.close, made);
    const r = await b.run();
    check(r.value(made), `making ${path}`);
    if (r.value(wrote) !== contents.length) throw new DomainError('guest', `cannot write ${path}`);
    return;
  }
  const fd = check((await b.run()).value(made), `making ${path}`);
  await whileOpen(hands, fd, async () => {
    for (let at = 0; at < contents.length; at += CHUNK) {
      const c = hands.batch();
      const part = contents.subarray(at, at + CHUNK);
      const wrote = c.call(SYS.pwrite64, fd, c.bytes(part), part.length, at);
      if ((await c.run()).value(wrote) !== part.length) throw new DomainError('guest', `cannot write ${path}`);
    }
  });
}
