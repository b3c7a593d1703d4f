import { PROT } from '../linux/flags.js';
import { isVdso, isVvar, type Vma } from '../proc/maps.js';
import type { Range } from './ranges.js';

/** A mapping to be made anew in another OS instance. */
export interface TargetVma extends Vma {
  /** How its pages come to be there. */
  readonly backing:
    | { readonly kind: 'anonymous' }
    /** Private or shared mapping of a file found by its path. */
    | { readonly kind: 'file' }
    /** Shared mapping of memory that has no path: the object's key. */
    | { readonly kind: 'object'; readonly key: string }
    /**
     * The ring of an asynchronous I/O context or of io_uring: made with it (kinds/events/aio.ts, kinds/io-uring/mappings.ts), in its
     * place meanwhile is nothing.
     */
    | { readonly kind: 'ring' };
  /** How anonymous memory is made: what is not said of a mapping, but was when it was made. */
  readonly made?: Made;
}

/** Flags of mmap(2), as far as they are known. */
export interface Made {
  readonly growsDown: boolean;
  readonly noReserve: boolean;
  readonly droppable: boolean;
}

/** Key of the memory object behind a shared mapping of something without a path. */
export function objectKey(v: { readonly dev: string; readonly ino: number; readonly path?: string }): string {
  // A segment's inode number is its id, which files on the same device may have too, and which may be 0.
  return isSegment(v) ? segmentKey(v.ino) : `${v.dev}:${v.ino}`;
}

/** Key of the System V shared memory segment with an id. */
export function segmentKey(id: number): string {
  return `${SEGMENT}${id}`;
}

const SEGMENT = 'sysv:';

/** The id of the segment that a key stands for, or undefined for any other object. */
export function segmentOf(key: string): number | undefined {
  return key.startsWith(SEGMENT) ? Number(key.slice(SEGMENT.length)) : undefined;
}

/** True for an attached System V shared memory segment: its file is named after its key, and never had a path. */
export function isSegment(v: { readonly path?: string; readonly deleted?: boolean }): boolean {
  return v.deleted === true && /^\/SYSV[0-9a-f]{8}$/.test(v.path ?? '');
}

/** Whether what has no path any more was a file with a path: not a memfd, shared anonymous memory or a segment. */
export const isFilePath = (path: string): boolean =>
  !/^(\[anon_shmem:|\/(memfd:|\[aio\]$|dev\/zero( \(deleted\))?$|SYSV[0-9a-f]{8}$))/.test(path);

/** True for the ring of an asynchronous I/O context (io_setup(2)). */
export function isAioRing(v: { readonly path: string; readonly deleted: boolean }): boolean {
  return v.deleted && v.path === '/[aio]';
}

/** True for a part of a ring of io_uring(7). */
export function isIoUring(v: { readonly path: string }): boolean {
  return v.path === 'anon_inode:[io_uring]';
}

/** True if a mapping's file cannot be found by its path: shared anonymous memory, memfd, a deleted file. */
export function isObject(v: Vma): boolean {
  return (
    isSegment(v) || (v.ino !== 0 && (v.deleted || v.path.startsWith('/memfd:') || v.path.startsWith('[anon_shmem:')))
  );
}

/** Mappings of a process that another OS instance must make, without the kernel's own ones and without `except` (the runner). */
export function targetVmas(vmas: readonly Vma[], except?: { start: number; end: number }): TargetVma[] {
  return vmas
    .filter((v) => !isVdso(v) && !isVvar(v) && !(except !== undefined && v.start < except.end && v.end > except.start))
    .map((v): TargetVma => {
      if (isAioRing(v) || isIoUring(v)) return { ...v, backing: { kind: 'ring' } };
      if (isObject(v)) return { ...v, backing: { kind: 'object', key: objectKey(v) } };
      if (v.ino === 0) return { ...v, backing: { kind: 'anonymous' } };
      return { ...v, backing: { kind: 'file' } };
    });
}

/** Private memory without a file behind it. */
export const anonymous = ({ start, end }: Range, prot: number): TargetVma => ({
  ...{ start, end, prot, shared: false, offset: 0, dev: '00:00', ino: 0, path: '', deleted: false },
  backing: { kind: 'anonymous' },
});

/** Whether a shared mapping can be written, or made so. */
export function isWritable(v: Vma): boolean {
  return (v.prot & PROT.WRITE) !== 0 || v.mayWrite === true;
}

/** Whether a mapping becomes larger when somebody touches what lies below it. */
export function growsDown(v: TargetVma): boolean {
  return v.made?.growsDown ?? v.path === '[stack]';
}

/** What must be equal for a mapping that is there to serve as the wanted one, protection aside; offsets count from address 0. */
export function identity(v: TargetVma): string {
  const share = v.shared ? (isWritable(v) ? 'sw' : 's') : 'p';
  switch (v.backing.kind) {
    case 'anonymous':
      return `${share} anonymous ${growsDown(v) ? 'grows' : ''} ${v.made?.droppable === true ? 'droppable' : ''} ${v.made?.noReserve === true ? 'unreserved' : ''}`;
    case 'ring':
      return 'ring';
    case 'file':
      return `${share} file ${v.offset - v.start} ${v.ino} ${v.path}`;
    case 'object':
      return `${share} object ${v.offset - v.start} ${v.backing.key}`;
  }
}
