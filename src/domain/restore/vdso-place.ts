import type { Batch, Ref } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { VdsoImage } from '../checkpoint/outline.js';
import { DomainError } from '../errors.js';
import { MREMAP } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { normalize, type Range } from '../memory/ranges.js';
import { isSameVdso } from '../memory/vdso.js';
import { findHole, isVdso, isVvar, type Vma } from '../proc/maps.js';
import { AREA_SIZE } from '../trace/runner.js';
import type { Tracee } from '../trace/tracee.js';

/** From here on a place is looked for where nothing is. */
export const ELSEWHERE = 0x9_0000_0000;

/** Where the vDSOs of one process go in this OS instance. */
export interface VdsoPlan {
  /** Of this kernel, and where it is. */
  readonly image: Uint8Array;
  readonly imageBase: number;
  /** Images to keep as ordinary memory, redirected. */
  readonly keep: readonly VdsoImage[];
  /** Memory that was a kept image and gives way to the real one. */
  readonly giveWay: readonly Range[];
}

/** The kernel's own mappings, and where they are. */
export function ownMappings(maps: readonly Vma[]): { readonly own: readonly Vma[] } & Range {
  const own = maps.filter((v) => isVdso(v) || isVvar(v));
  const start = Math.min(...own.map((v) => v.start));
  const end = Math.max(...own.map((v) => v.end));
  return { own, start, end };
}

/** Adds the moving of mappings by some bytes. */
export function addMoves(b: Batch, mappings: readonly Range[], by: number): Ref[] {
  return mappings.map(({ start, end }) =>
    b.call(SYS.mremap, start, end - start, end - start, MREMAP.MAYMOVE | MREMAP.FIXED, start + by),
  );
}

/** Moves the kernel's own mappings, which are among `maps`, to where they can stay. `avoid`: the process's memory to come. */
export async function placeVdso(
  leader: Tracee,
  maps: readonly Vma[],
  active: VdsoImage,
  kept: readonly VdsoImage[],
  avoid: readonly Range[],
): Promise<VdsoPlan> {
  const { own, start, end } = ownMappings(maps);
  const vdso = own.find(isVdso);
  if (vdso === undefined) throw new DomainError('unsupported', 'no vDSO in this OS instance');
  const image = await leader.peek(vdso.start, vdso.end - vdso.start);
  const vvarSize = vdso.start - start;

  const generations = [active, ...kept];
  const match = generations.find((g) => g.vdso.start - g.vvar.start === vvarSize && isSameVdso(g.image, image));
  const area = { start: leader.area, end: leader.area + AREA_SIZE };
  const busy = normalize([...avoid, ...generations.flatMap((g) => [g.vvar, g.vdso]), area, { start, end }]);
  const base =
    match?.vvar.start ??
    findHole(busy, end - start, Math.max(0x100000, active.vdso.start - 0x4000_0000), active.vdso.start + 0x4000_0000);
  if (base < 0) throw new DomainError('unsupported', 'no room for the vDSO', { resource: 'the whole address space' });

  if (base !== start) {
    const overlap = base < end && base + (end - start) > start;
    const hops = overlap ? [findHole(busy, end - start, ELSEWHERE), base] : [base];
    let from = start;
    for (const to of hops) {
      const b = leader.batch();
      const there = own.map((v) => ({ start: v.start - start + from, end: v.end - start + from }));
      const refs = addMoves(b, there, to - from);
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), 'moving the vDSO');
      from = to;
    }
  }
  return {
    image,
    imageBase: base + vvarSize,
    keep: generations.filter((g) => g !== match),
    giveWay: match === undefined || match === active ? [] : normalize([match.vvar, match.vdso]),
  };
}
