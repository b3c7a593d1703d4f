import { DELETED } from './deleted.js';

/** One mapping, as a line of `/proc/PID/maps` tells it (proc_pid_maps(5)). Addresses and offsets in bytes. */
export interface Vma {
  readonly start: number;
  readonly end: number;
  /** PROT_* bits. */
  readonly prot: number;
  readonly shared: boolean;
  readonly offset: number;
  /** `major:minor`, hexadecimal. */
  readonly dev: string;
  readonly ino: number;
  /** File path, `[heap]`-like name, or empty. ` (deleted)` is taken off and told by `deleted`. */
  readonly path: string;
  readonly deleted: boolean;
  /** Of a shared mapping of a file that cannot be written now: whether it may be made writable (mprotect(2)). */
  readonly mayWrite?: boolean;
  /** Where its file is opened anew, if not by its name: see mounts/places.ts. */
  readonly place?: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;

export function parseMaps(text: string): Vma[] {
  const vmas: Vma[] = [];
  for (const line of text.split('\n')) {
    const m = LINE.exec(line);
    if (m === null) continue;
    const [, start = '', end = '', r, w, x, s, offset = '', dev = '', ino = '', rawPath = ''] = m;
    const path = rawPath.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    const deleted = path.endsWith(DELETED);
    vmas.push({
      start: parseInt(start, 16),
      end: parseInt(end, 16),
      prot: (r === 'r' ? 1 : 0) | (w === 'w' ? 2 : 0) | (x === 'x' ? 4 : 0),
      shared: s === 's',
      offset: parseInt(offset, 16),
      dev,
      ino: Number(ino),
      path: deleted ? path.slice(0, -DELETED.length) : path,
      deleted,
    });
  }
  return vmas;
}

/** The kernel's own mappings, which it makes for every process. */
export function isVdso(v: Vma): boolean {
  return v.path === '[vdso]';
}
export function isVvar(v: Vma): boolean {
  return v.path.startsWith('[vvar');
}

/**
 * A free range of `size` bytes, page-aligned, that meets none of the mappings, at or above `from`, with a
 * gap on both sides so that stacks may grow. -1 if there is none below `limit`.
 */
export function findHole(
  vmas: readonly { start: number; end: number }[],
  size: number,
  from: number,
  limit = 0x3f_0000_0000,
): number {
  const gap = 0x100000;
  let at = from;
  for (const v of [...vmas].sort((a, b) => a.start - b.start)) {
    if (v.end + gap <= at) continue;
    if (v.start >= at + size + gap) break;
    at = v.end + gap;
  }
  return at + size + gap <= limit ? at : -1;
}
