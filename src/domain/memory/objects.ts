import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, F, MADV, MAP, O, PROT } from '../linux/flags.js';
import { making, whileOpen } from '../linux/making.js';
import { check, parseStat } from '../linux/os.js';
import { DELETED, throughVma } from '../proc/deleted.js';
import type { ProcessView } from '../proc/survey.js';
import type { Vma } from '../proc/maps.js';
import { together } from '../together.js';
import { inodeKey, isInMemory } from '../files/inode.js';
import { isAioRing, isFilePath, isObject, objectKey } from './layout.js';
import { pagesOf, populate, unmapAll, wholePages, type Mapped } from './mapped.js';
import type { FrameMover, Move } from './mover.js';
import type { Range } from './ranges.js';

const PAGE = 4096;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_SEAL_SEAL = 1;
/** How /proc shows a memfd: this, then its name. */
const MEMFD = '/memfd:';

/**
 * Memory that several processes can share and that no path leads to: shared anonymous memory, memfds,
 * deleted files. Whoever maps it or has a descriptor of it means the same object.
 */
export interface MemoryObject {
  readonly key: string;
  /** Name of a memfd; shared anonymous memory and deleted files have none. */
  readonly memfd: string | undefined;
  readonly size: number;
  readonly seals: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Where it has contents, in bytes from its start. */
  readonly data: readonly Range[];
  /** Was a file with a name: the kind of deleted files makes it (kinds/deleted-files.ts). */
  readonly deletedFile: boolean;
  /** A descriptor of the source's hands. */
  readonly sourceFd: number;
}

/** Key of the object behind a descriptor of the hands, as {@link objectKey} makes it of a mapping. */
export async function keyOfDescriptor(hands: Hands, fd: number): Promise<string> {
  const b = hands.batch();
  const stat = b.out(128);
  const n = b.call(SYS.fstat, fd, stat);
  const r = await b.run();
  check(r.value(n), 'fstat');
  const { dev, ino } = parseStat(r.view(stat));
  return inodeKey(dev, ino);
}

/** Finds the objects that processes map. Descriptors are opened through `/proc/PID/map_files`. */
export async function mappedObjects(
  hands: Hands,
  views: readonly ProcessView[],
  into: Map<string, MemoryObject>,
): Promise<void> {
  const found = new Map<string, { readonly at: string; readonly vma: Vma; readonly exchanged: boolean }>();
  for (const view of views) {
    for (const vma of view.vmas) {
      if (!isObject(vma) || isAioRing(vma)) continue;
      const at = throughVma(view, vma);
      const isProgram = view.gone.exe && vma.path + DELETED === view.exe;
      const before = found.get(objectKey(vma));
      found.set(objectKey(vma), { at, vma, exchanged: !isProgram && before?.exchanged !== false });
    }
  }
  await together(
    [...found].map(async ([key, { at, vma, exchanged }]) => {
      const b = hands.batch();
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(at), O.RDONLY | O.NOATIME | O.CLOEXEC, 0);
      const opened = check((await b.run()).value(fd), `opening the memory behind ${vma.path}`);
      await addObject(hands, opened, vma.path, into, key, exchanged);
    }),
  );
}

/**
 * Notes the object behind a descriptor of the hands, which becomes the note's own. `path`: as /proc shows it. `known`: its
 * key, where that is known. `exchanged`: its pages change places; those of a program may not be written.
 */
export async function addObject(
  hands: Hands,
  fd: number,
  path: string,
  into: Map<string, MemoryObject>,
  known?: string,
  exchanged = true,
): Promise<string> {
  return making(hands, async (note) => {
    note(fd);
    const key = known ?? (await keyOfDescriptor(hands, fd));
    if (into.has(key)) {
      await hands.syscall(SYS.close, fd);
      return key;
    }
    const b = hands.batch();
    const stat = b.out(128);
    b.call(SYS.fstat, fd, stat);
    const fs = b.out(120);
    b.call(SYS.fstatfs, fd, fs);
    const seals = b.call(SYS.fcntl, fd, F.GET_SEALS);
    const r = await b.run();
    const { size, mode, uid, gid } = parseStat(r.view(stat));
    const memfd = path.startsWith(MEMFD) ? path.slice(MEMFD.length) : undefined;
    const deletedFile = memfd === undefined && isFilePath(path);
    // What lies on a disk is copied by the kind that makes the file.
    const copied = deletedFile && !(exchanged && isInMemory(r.view(fs)));
    const data = copied ? [] : await dataRanges(hands, fd, size);
    // Another mapping or descriptor of it was looked at meanwhile.
    if (into.has(key)) {
      await hands.syscall(SYS.close, fd);
      return key;
    }
    into.set(key, {
      key,
      memfd,
      size,
      seals: memfd === undefined ? 0 : check(r.value(seals), `reading the seals of ${path}`),
      data,
      mode: mode & 0o7777,
      uid,
      gid,
      deletedFile,
      sourceFd: fd,
    });
    return key;
  });
}

/** Where a file in memory has pages. */
async function dataRanges(hands: Hands, fd: number, size: number): Promise<Range[]> {
  // A descriptor of our own: the offset of the domain's must stay.
  const open = hands.batch();
  const own = open.call(SYS.openat, AT_FDCWD, open.str(`/proc/self/fd/${fd}`), O.RDONLY | O.CLOEXEC, 0);
  const at = check((await open.run()).value(own), 'opening a memory object');
  return whileOpen(hands, at, () => pagesOf(hands, at, size, 'a memory object'));
}

/** Makes an empty object like it; answers a descriptor of the destination's hands. */
export async function makeObject(hands: Hands, object: MemoryObject): Promise<number> {
  let fd: number;
  if (object.memfd !== undefined) {
    const b = hands.batch();
    const sealable = (object.seals & F_SEAL_SEAL) === 0 || object.seals > F_SEAL_SEAL;
    const made = b.call(SYS.memfd_create, b.str(object.memfd), MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0));
    fd = check((await b.run()).value(made), 'making a memfd');
    return making(hands, async (note) => {
      note(fd);
      const c = hands.batch();
      const sized = c.call(SYS.ftruncate, fd, object.size);
      const owned = c.call(SYS.fchown, fd, object.uid, object.gid);
      const allowed = c.call(SYS.fchmod, fd, object.mode);
      const r = await c.run();
      for (const ref of [sized, owned, allowed]) check(r.value(ref), 'sizing a memfd');
      return fd;
    });
  }
  // Shared anonymous memory has a descriptor only through a mapping.
  const size = wholePages(object.size);
  const at = check(
    await hands.syscall(SYS.mmap, 0, size, PROT.READ | PROT.WRITE, MAP.SHARED | MAP.ANONYMOUS | MAP.NORESERVE, -1, 0),
    'making shared memory',
  );
  const b = hands.batch();
  const path = `/proc/self/map_files/${at.toString(16)}-${(at + size).toString(16)}`;
  const opened = b.call(SYS.openat, AT_FDCWD, b.str(path), O.RDWR | O.CLOEXEC, 0);
  fd = (await b.run()).value(opened);
  await hands.syscall(SYS.munmap, at, size);
  return check(fd, 'opening shared memory');
}

/** An object mapped into the hands of both sides, its pages present, so that they can be exchanged. */
export class ObjectTransfer {
  readonly moves: Move[] = [];
  readonly #targets = new Map<string, { readonly at: number; readonly size: number }>();
  readonly #mapped: Mapped[] = [];

  async add(mover: FrameMover, source: Hands, object: MemoryObject, to: Hands, toFd: number): Promise<void> {
    const size = wholePages(object.size);
    if (object.data.length === 0 || size === 0) return;
    const [fromAt, toAt, from, target] = await together([
      this.#map(source, object.sourceFd, size, PROT.READ, object.data, MADV.POPULATE_READ),
      this.#map(to, toFd, size, PROT.READ | PROT.WRITE, object.data, MADV.POPULATE_WRITE),
      mover.handsSpace(source),
      mover.handsSpace(to),
    ]);
    this.#targets.set(object.key, { at: toAt, size });
    for (const r of object.data) {
      this.moves.push({
        from,
        fromVa: fromAt + r.start,
        to: target,
        toVa: toAt + r.start,
        pages: (r.end - r.start) / PAGE,
      });
    }
  }

  async #map(
    hands: Hands,
    fd: number,
    size: number,
    prot: number,
    data: readonly Range[],
    advice: number,
  ): Promise<number> {
    const at = check(await hands.syscall(SYS.mmap, 0, size, prot, MAP.SHARED, fd, 0), 'mapping a memory object');
    this.#mapped.push({ hands, at, bytes: size });
    await populate(hands, at, data, advice);
    return at;
  }

  /** Takes the mappings away. */
  async close(): Promise<void> {
    await unmapAll(this.#mapped.splice(0));
  }

  /**
   * Leaves an object of the destination that has its contents with nobody who could write it but the domain: while
   * somebody can, it can neither be sealed against that nor be executed. `fd`: of the hands; can only be read from then on.
   */
  async settle(hands: Hands, fd: number, object: MemoryObject): Promise<void> {
    if (object.memfd === undefined) return;
    const target = this.#targets.get(object.key);
    const b = hands.batch();
    const now = b.call(SYS.fcntl, fd, F.GET_SEALS);
    const reopened = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${fd}`), O.RDONLY | O.CLOEXEC, 0);
    // The frames must be found again if the move is taken back.
    const mapped =
      target === undefined
        ? reopened
        : b.must(SYS.mmap, target.at, target.size, PROT.READ, MAP.SHARED | MAP.FIXED, reopened, 0);
    const r = await b.run();
    const only = check(r.value(reopened), 'opening a memfd');
    await making(hands, async (note) => {
      note(only);
      check(r.value(mapped), 'mapping a memfd');
      if (target !== undefined) await populate(hands, target.at, object.data, MADV.POPULATE_READ);
    });
    const c = hands.batch();
    const missing = object.seals & ~Math.max(0, r.value(now));
    const sealed = missing === 0 ? undefined : c.call(SYS.fcntl, fd, F.ADD_SEALS, missing);
    const replaced = c.call(SYS.dup3, only, fd, O.CLOEXEC);
    c.call(SYS.close, only);
    const cr = await c.run();
    if (sealed !== undefined) check(cr.value(sealed), 'sealing a memfd');
    check(cr.value(replaced), 'closing a memfd');
  }
}
