import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported } from '../../../errors.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, CLONE, O } from '../../../linux/flags.js';
import { inside } from '../../../linux/inside.js';
import { closeAll } from '../../../linux/making.js';
import { check, parseStat, readLinks } from '../../../linux/os.js';
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC } from '../../../mounts/flags.js';
import type { Anchor } from '../../../tree/anchor.js';
import { HANDS_FD } from '../../../tree/anchor.js';
import { isNamed, pathOf, SIOCUNIXFILE, type SocketFile, type UnixState } from './state.js';
import { AF_UNIX } from '../../../linux/socket-numbers.js';

const UMASK = 0o022;
const UNIX_PATH_AT = 2;

/** What became of the file of a socket that was bound to a path. Throws `unsupported` where it could not be made again. */
export async function lookAtFile(
  hands: Hands,
  anchor: Anchor,
  fd: number,
  name: Uint8Array,
  where: string,
): Promise<SocketFile | undefined> {
  const path = pathOf(name);
  if (path === undefined) return undefined;
  // Folders and files are found by the name as text.
  if (path.includes('\ufffd')) throw unsupported('a UNIX socket with a path that is not UTF-8', where);
  const root = `/proc/${anchor.pid}/root`;
  const b = hands.batch();
  const file = b.call(SYS.ioctl, fd, SIOCUNIXFILE, 0);
  const [stat, byName] = [b.out(128), b.out(128)];
  const looked = b.call(SYS.newfstatat, file, b.str(''), stat, AT_EMPTY_PATH);
  const found = b.call(SYS.newfstatat, AT_FDCWD, b.str(`${root}${path}`), byName, 0);
  const r = await b.run();
  const held = check(r.value(file), 'finding the file of a UNIX socket');
  try {
    check(r.value(looked), 'looking at the file of a UNIX socket');
    const { mode, uid, gid, nlink, ino, dev } = parseStat(r.view(stat));
    const own = { mode: mode & 0o7777, uid, gid };
    if (nlink === 0) return { ...own, gone: true };
    const isIt = (view: DataView): boolean => parseStat(view).ino === ino && parseStat(view).dev === dev;
    if (path.startsWith('/') && r.value(found) >= 0 && isIt(r.view(byName))) return { ...own, gone: false };
    const [place = ''] = await readLinks(hands, [`/proc/self/fd/${held}`]);
    const c = hands.batch();
    const atPlace = c.out(128);
    const there = c.call(SYS.newfstatat, AT_FDCWD, c.str(`${root}${place}`), atPlace, 0);
    const q = await c.run();
    const plain = path.replace(/^(\.\/+)+/, '');
    const base = place.slice(0, -plain.length);
    if (q.value(there) >= 0 && isIt(q.view(atPlace)) && !path.startsWith('/')) {
      if (base.endsWith('/') && base + plain === place) return { ...own, gone: false, base };
    }
    throw unsupported(`a UNIX socket whose file is not at ${path} any more`, where);
  } finally {
    await closeAll(hands, [held]);
  }
}

/** Sockets of the domain's network namespace, made by the hands. */
export async function makeSockets(hands: Hands, anchor: Anchor, types: readonly number[]): Promise<number[]> {
  const out: number[] = [];
  for (let start = 0; start < types.length; start += SOCKETS_AT_ONCE) {
    const some = types.slice(start, start + SOCKETS_AT_ONCE);
    const fds = await inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
      const refs = some.map((type) => b.call(SYS.socket, AF_UNIX, type | O.CLOEXEC | O.NONBLOCK, 0));
      return (r) => refs.map((ref) => r.value(ref));
    });
    out.push(...fds);
  }
  if (out.some((fd) => fd < 0)) {
    await closeAll(hands, out);
    check(Math.min(...out), 'making a UNIX socket');
  }
  return out;
}

const SOCKETS_AT_ONCE = 400;

/** Gives sockets their names, in the domain's own mount namespace, by its first process. */
export class Naming {
  /** Where sockets get the names of files that nobody shall find: a file system for nothing else. */
  #attic: Promise<number> | undefined;

  constructor(
    readonly hands: Hands,
    readonly anchor: Anchor,
  ) {}

  /** Names a socket of the hands as the original is; whoever connects may do so until {@link settle}. */
  async bind(fd: number, name: Uint8Array, file: SocketFile | undefined): Promise<void> {
    const path = pathOf(name);
    if (path === undefined) {
      const b = this.hands.batch();
      const bound = b.call(SYS.bind, fd, b.bytes(name), name.length);
      check((await b.run()).value(bound), 'naming a UNIX socket');
      return;
    }
    if (file === undefined || file.gone) await this.#bindUnseen(fd, name, path);
    else await this.#bindAt(fd, name, path, file.base);
  }

  async #bindAt(fd: number, name: Uint8Array, path: string, base: string | undefined): Promise<void> {
    const b = this.anchor.tracee.batch();
    b.call(SYS.umask, 0);
    const got = b.call(SYS.pidfd_getfd, HANDS_FD, fd, 0);
    if (base !== undefined) {
      for (const folder of foldersOf(base)) b.call(SYS.mkdirat, AT_FDCWD, b.str(folder), 0o755);
      b.call(SYS.chdir, b.str(base));
    }
    for (const folder of foldersOf(path)) b.call(SYS.mkdirat, AT_FDCWD, b.str(folder), 0o755);
    // What an earlier stay left there.
    b.call(SYS.unlinkat, AT_FDCWD, b.str(path), 0);
    const bound = b.call(SYS.bind, got, b.bytes(name), name.length);
    b.call(SYS.close, got);
    if (base !== undefined) b.call(SYS.chdir, b.str('/'));
    b.call(SYS.umask, UMASK);
    check((await b.run()).value(bound), `naming a UNIX socket ${path}`);
  }

  async #bindUnseen(fd: number, name: Uint8Array, path: string): Promise<void> {
    this.#attic ??= this.#makeAttic();
    const attic = await this.#attic;
    const folders = foldersOf(path);
    const b = this.anchor.tracee.batch();
    const got = b.call(SYS.pidfd_getfd, HANDS_FD, fd, 0);
    const back = b.call(SYS.openat, AT_FDCWD, b.str('/'), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    const entered = [b.call(SYS.fchdir, attic), b.call(SYS.chroot, b.str('.'))];
    for (const folder of folders) b.call(SYS.mkdirat, AT_FDCWD, b.str(folder), 0o755);
    const bound = b.call(SYS.bind, got, b.bytes(name), name.length);
    b.call(SYS.unlinkat, AT_FDCWD, b.str(path), 0);
    for (const folder of [...folders].reverse()) b.call(SYS.unlinkat, AT_FDCWD, b.str(folder), AT_REMOVEDIR);
    b.call(SYS.fchdir, back);
    b.call(SYS.chroot, b.str('.'));
    b.call(SYS.close, back);
    b.call(SYS.close, got);
    const r = await b.run();
    for (const ref of [...entered, bound]) check(r.value(ref), `naming a UNIX socket ${path}, which nobody finds`);
  }

  /** A file system in memory that is mounted nowhere; answers a descriptor of the first process. */
  async #makeAttic(): Promise<number> {
    const { tracee } = this.anchor;
    const b = tracee.batch();
    const context = b.call(SYS.fsopen, b.str('tmpfs'), FSOPEN_CLOEXEC);
    const created = b.call(SYS.fsconfig, context, FSCONFIG.CMD_CREATE, 0, 0, 0);
    const mount = b.call(SYS.fsmount, context, FSMOUNT_CLOEXEC, 0);
    const r = await b.run();
    await tracee.syscall(SYS.close, r.value(context));
    check(r.value(created), 'making a file system in memory');
    return check(r.value(mount), 'mounting a file system in memory');
  }

  /** Owner and mode of a socket's file, when all have connected that had. */
  async settle(s: UnixState): Promise<void> {
    const path = pathOf(s.local);
    const { file } = s;
    if (path === undefined || file === undefined || file.gone) return;
    const b = this.anchor.tracee.batch();
    const full = b.str(file.base === undefined || path.startsWith('/') ? path : file.base + path);
    const owned = b.call(SYS.fchownat, AT_FDCWD, full, file.uid, file.gid, 0);
    const moded = b.call(SYS.fchmodat, AT_FDCWD, full, file.mode);
    const r = await b.run();
    for (const ref of [owned, moded]) check(r.value(ref), `giving the UNIX socket ${path} its owner and mode`);
  }

  async close(): Promise<void> {
    if (this.#attic !== undefined) await this.anchor.tracee.syscall(SYS.close, await this.#attic);
    this.#attic = undefined;
  }
}

/** The folders that a path leads through. */
function foldersOf(path: string): string[] {
  const parts = path.split('/');
  return parts
    .slice(0, -1)
    .map((_, i) => parts.slice(0, i + 1).join('/'))
    .filter((folder) => folder !== '' && folder !== '.' && folder !== '..');
}

/** A name that leads to a socket with a path wherever its file is: `file` is a descriptor of it (SIOCUNIXFILE). */
export function nameThrough(file: number): Uint8Array {
  const text = new TextEncoder().encode(`/proc/self/fd/${file}\0`);
  const name = new Uint8Array(UNIX_PATH_AT + text.length);
  name[0] = AF_UNIX;
  name.set(text, UNIX_PATH_AT);
  return name;
}

export const hasPath = (name: Uint8Array): boolean => isNamed(name) && pathOf(name) !== undefined;
