import { below, type Mount } from './mountinfo.js';
import type { MountSpace } from './spaces.js';
import type { FileTree } from './tree.js';

/** A part of a file system that goes along with its contents. */
export interface SavedPart {
  /** Where in the file system. */
  readonly root: string;
  /** It lies in memory that changes places with the destination's. */
  readonly flips: boolean;
  readonly tree: FileTree;
  /** A descriptor of the source's hands for its top. */
  readonly held: number;
}

/** A file system that only the domain has mounted. */
export interface SavedFileSystem {
  readonly dev: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** Empty where the kernel makes up what it holds. */
  readonly parts: readonly SavedPart[];
}

/** What lies below a mount, on a file system of the OS instance. */
export interface Beneath {
  readonly id: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Everything that is mounted in the domain, in the order in which it can be mounted. */
export interface MountsState {
  /** Nanoseconds of the real time at which it was looked at. */
  readonly at: bigint;
  /** A descriptor of the source's hands that tells what is written since; -1: nothing does. */
  readonly watch: number;
  readonly mounts: readonly Mount[];
  /** What had been mounted before anybody in the domain mounted something. */
  readonly before: readonly Mount[];
  /** Mount namespaces beside the domain's own. */
  readonly spaces: readonly MountSpace[];
  /** The domain's own, as the source shows it. */
  readonly home: string;
  readonly own: readonly SavedFileSystem[];
  readonly beneath: readonly Beneath[];
  /** Parts of file systems of the OS instance that the domain has made since it is in it and mounted elsewhere, by the mounts' ids. */
  readonly bound: readonly (SavedPart & { readonly id: number })[];
}

/** Mounts that are as they were before, but perhaps for their flags and how they spread. */
export function inherited(state: Pick<MountsState, 'mounts' | 'before'>): Map<number, Mount> {
  const out = new Map<number, Mount>();
  for (const b of state.before) {
    const m = state.mounts.find((x) => x.id === b.id);
    const same = m?.dev === b.dev && m.root === b.root && m.point === b.point && m.parent === b.parent;
    if (m !== undefined && same) out.set(m.id, b);
  }
  return out;
}

/** What two looks have in common if what was made for the one serves the other too, contents aside. */
export function layoutKey({ mounts, spaces, own, bound }: MountsState): string {
  return JSON.stringify([
    mounts,
    spaces.map((s) => [s.link, s.mounts]),
    own.map((f) => [f.dev, f.options, f.parts.map((p) => p.root)]),
    bound.map((p) => p.id),
  ]);
}

/** What is mounted in the domain's own namespace and in all others. */
export const allMounts = ({ mounts, spaces }: Pick<MountsState, 'mounts' | 'spaces'>): readonly Mount[] =>
  spaces.length === 0 ? mounts : [...mounts, ...spaces.flatMap((s) => s.mounts)];

/** Which of several mounts at one place a mount is, from the bottom. */
export function placeOf(m: Mount, all: readonly Mount[]): string {
  let level = 0;
  for (let x: Mount | undefined = m; x !== undefined && x.point === m.point && level <= all.length;) {
    const { parent, id }: Mount = x;
    x = parent === id ? undefined : all.find((y) => y.id === parent);
    level++;
  }
  return `${level} ${m.point}`;
}

/** Whether the file at a path comes along with the file system that it is on. */
export function isOwn(state: MountsState, name: string): boolean {
  const space = state.spaces.find((s) => name.startsWith(`/${s.link}/`));
  const path = space === undefined ? name : name.slice(space.link.length + 1);
  let top: Mount | undefined;
  // Of several at one place the last is the uppermost.
  for (const m of space?.mounts ?? state.mounts)
    if (below(path, m.point) !== undefined && (top === undefined || m.point.length >= top.point.length)) top = m;
  if (top === undefined) return false;
  const own = state.own.find((f) => f.dev === top.dev);
  return own === undefined ? state.bound.some((p) => p.id === top.id) : own.parts.length > 0;
}
