import { isVdso, isVvar, type Vma } from '../proc/maps.js';

/** A mapping to be made anew in another OS instance. */
export interface TargetVma extends Vma {
  /** How its pages come to be there. */
  readonly backing:
    | { readonly kind: 'anonymous' }
    /** Private or shared mapping of a file found by its path. */
    | { readonly kind: 'file' }
    /** Shared mapping of memory that has no path: the object's key. */
    | { readonly kind: 'object'; readonly key: string };
}

/** Key of the memory object behind a shared mapping of something without a path. */
export function objectKey(v: { readonly dev: string; readonly ino: number }): string {
  return `${v.dev}:${v.ino}`;
}

/** True if a mapping's file cannot be found by its path: shared anonymous memory, memfd, a deleted file. */
export function isObject(v: Vma): boolean {
  return v.ino !== 0 && (v.deleted || v.path.startsWith('/memfd:') || v.path.startsWith('/dev/zero'));
}

/** Mappings of a process that another OS instance must make, without the kernel's own ones and without `except` (the runner). */
export function targetVmas(vmas: readonly Vma[], except?: { start: number; end: number }): TargetVma[] {
  return vmas
    .filter((v) => !isVdso(v) && !isVvar(v) && !(except !== undefined && v.start < except.end && v.end > except.start))
    .map((v): TargetVma => {
      if (v.ino === 0) return { ...v, backing: { kind: 'anonymous' } };
      if (isObject(v)) return { ...v, backing: { kind: 'object', key: objectKey(v) } };
      return { ...v, backing: { kind: 'file' } };
    });
}

/** What must be equal for a mapping that is there to serve as the wanted one, protection aside; offsets count from address 0. */
export function identity(v: TargetVma): string {
  const share = v.shared ? 's' : 'p';
  switch (v.backing.kind) {
    case 'anonymous':
      return `${share} anonymous ${v.path === '[stack]' ? 'stack' : ''}`;
    case 'file':
      return `${share} file ${v.offset - v.start} ${v.path}`;
    case 'object':
      return `${share} object ${v.offset - v.start} ${v.backing.key}`;
  }
}
