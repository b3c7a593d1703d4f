import type { Hands } from '../../guest/hands/hands.js';
import { DomainError } from '../errors.js';
import { PROT } from '../linux/flags.js';
import type { HeldFiles } from '../linux/held-files.js';
import { targetVmas, type TargetVma } from '../memory/layout.js';
import type { PageLook } from '../memory/mover.js';
import { intersect, normalize, subtract, type Range } from '../memory/ranges.js';
import { ownPages } from '../memory/scan.js';
import { keptVvarPages } from '../memory/vdso.js';
import type { MountSpace } from '../mounts/spaces.js';
import { isVdso, isVvar } from '../proc/maps.js';
import type { ProcessView } from '../proc/survey.js';
import { together } from '../together.js';
import { AREA_SIZE } from '../trace/runner.js';
import { HANDS_FD } from '../tree/anchor.js';
import { Tracee } from '../trace/tracee.js';

/** The kernel's own mappings of a process. */
export interface VdsoImage {
  readonly vvar: Range;
  readonly vdso: Range;
  readonly image: Uint8Array;
}

/** What is refused where a process has no vDSO: it is statically without, or in the middle of an exec. */
export const NO_VDSO = 'a process without a vDSO';

/** The shape of a process: enough to make an empty one like it, while the original still runs. */
export interface Outline {
  readonly view: ProcessView;
  readonly vmas: readonly TargetVma[];
  /** Where the process has pages of its own. */
  readonly pages: readonly Range[];
  readonly vdso: VdsoImage;
  /** Images of other kernels that earlier moves left in place. */
  readonly keptVdsos: readonly VdsoImage[];
}

/** What was made ready for a checkpoint while the domain ran, so that it stands still for less time. */
export interface Foresight {
  /** What its processes looked like. */
  readonly known: readonly Outline[];
  /** Files that tell what they look like now. */
  readonly held: HeldFiles;
  /** What must be in the destination beforehand, by the names of domain kinds. */
  readonly shares: ReadonlyMap<string, unknown>;
  /** Files that the destination lacks and that go along, though the domain does not write them. */
  readonly lacking: ReadonlySet<string>;
  /** Mount namespaces that the domain had beside its own. */
  readonly mountSpaces: readonly MountSpace[];
}

/**
 * Outlines a process. `area`: the runner in it, which is no part of it; -1 if there is none. `look`: walks the page
 * tables of private anonymous memory, for a process that stands still.
 */
export async function outlineProcess(
  hands: Hands,
  view: ProcessView,
  area = -1,
  look?: (ranges: readonly Range[]) => Promise<PageLook>,
): Promise<Outline> {
  const memory = new Tracee(hands, view.hostPid);
  const vmas = targetVmas(view.vmas, area < 0 ? undefined : { start: area, end: area + AREA_SIZE });
  const vdsoVma = view.vmas.find(isVdso);
  const vvars = view.vmas.filter(isVvar);
  if (vdsoVma === undefined || vvars.length === 0)
    throw new DomainError('unsupported', `process ${view.pid} has no vDSO`, { resource: NO_VDSO });
  const vvar = { start: Math.min(...vvars.map((v) => v.start)), end: Math.max(...vvars.map((v) => v.end)) };
  const [pages, image, kept] = await together([
    pagesOf(hands, view.hostPid, vmas, look),
    memory.peek(vdsoVma.start, vdsoVma.end - vdsoVma.start),
    keptVdsos(memory, vmas),
  ]);
  // It has ended since its mappings were read, or executes another program now.
  const images = [{ vdso: vdsoVma, image }, ...kept];
  if (images.some(({ vdso, image: { length } }) => length !== vdso.end - vdso.start))
    throw new DomainError('lost', `process ${view.pid} is not what it was`, { resource: NO_VDSO });
  return {
    view,
    vmas,
    pages: intersect(pages, normalize(vmas.filter((v) => !v.shared))),
    vdso: { vvar, vdso: { start: vdsoVma.start, end: vdsoVma.end }, image },
    keptVdsos: kept,
  };
}

async function pagesOf(
  hands: Hands,
  pid: number,
  vmas: readonly TargetVma[],
  look?: (ranges: readonly Range[]) => Promise<PageLook>,
): Promise<Range[]> {
  const own = vmas.filter((v) => !v.shared);
  const anonymous = normalize(look === undefined ? [] : own.filter((v) => v.backing.kind === 'anonymous'));
  const [walked, scanned] = await together([
    look === undefined ? { own: [], unclear: [] } : look(anonymous),
    ownPages(hands, pid, subtract(normalize(own), anonymous)),
  ]);
  const rest = walked.unclear.length === 0 ? [] : await ownPages(hands, pid, walked.unclear);
  return normalize([...walked.own, ...scanned, ...rest]);
}

/** Images of other kernels' vDSOs that earlier moves left in the process. */
async function keptVdsos(memory: Tracee, vmas: readonly TargetVma[]): Promise<VdsoImage[]> {
  const candidates = vmas.filter(
    (v) => v.backing.kind === 'anonymous' && v.prot === (PROT.READ | PROT.EXEC) && v.end - v.start <= 0x10000,
  );
  const heads = await together(candidates.map((v) => memory.peek(v.start, 16)));
  const kept = candidates.flatMap((v, i) => {
    const pages = keptVvarPages(heads[i] ?? new Uint8Array(0));
    return pages <= 0 ? [] : [{ v, pages }];
  });
  return together(
    kept.map(async ({ v: { start, end }, pages }) => ({
      vvar: { start: start - pages * 4096, end: start },
      vdso: { start, end },
      image: await memory.peek(start, end - start),
    })),
  );
}

/**
 * An outline without what can only be made once the original stands still: memory objects, which others may
 * share, and mappings of files whose contents go along.
 */
export function withoutObjects(o: Outline, carried: (path: string) => boolean): Outline {
  return { ...o, vmas: o.vmas.filter((v) => v.backing.kind !== 'object' && !carried(v.path)) };
}

/** True if processes made after `earlier` can still become `now`: same places in the tree, same threads, namespaces and vDSOs. */
export function stillFits(earlier: readonly Outline[], now: readonly Outline[]): boolean {
  const images = (o: Outline): string => JSON.stringify([o.vdso, ...o.keptVdsos].map((v) => [v.vvar, v.vdso]));
  const views = (outlines: readonly Outline[]): ProcessView[] => outlines.map((o) => o.view);
  return isSame(earlier, now, (o) => placeKey(o.view) + images(o)) && haveRoom(views(earlier), views(now));
}

/** As {@link stillFits}, as far as can be told before the processes are outlined. */
export const mayStillFit = (earlier: readonly ProcessView[], now: readonly ProcessView[]): boolean =>
  isSame(earlier, now, (v) => placeKey(v) + JSON.stringify(v.vmas.filter(isVdso).map((m) => m.start))) &&
  haveRoom(earlier, now);

/** More descriptors than a process had when it was looked at: it may open some until it stands still. */
const SPARE_FDS = 64;

export const highestFd = ({ descriptors }: ProcessView): number => descriptors.reduce((n, d) => Math.max(n, d.fd), -1);

/** The descriptor by which a process that was made for one with such a highest descriptor reaches the hands: above all others. */
export const wayBackFd = (highest: number): number => Math.max(highest + SPARE_FDS, HANDS_FD);

/** Whether none has opened so many files since that they would reach its way back. */
export function haveRoom(earlier: readonly ProcessView[], now: readonly ProcessView[]): boolean {
  const before = new Map(earlier.map((v) => [v.hostPid, highestFd(v)]));
  return now.every((v) => highestFd(v) < wayBackFd(before.get(v.hostPid) ?? -1));
}

function isSame<T>(earlier: readonly T[], now: readonly T[], key: (one: T) => string): boolean {
  if (earlier.length !== now.length) return false;
  const keys = new Set(earlier.map(key));
  return now.every((one) => keys.has(key(one)));
}

/** What a process cannot change once it is born in the destination. */
const placeKey = (v: ProcessView): string =>
  JSON.stringify([
    v.hostPid,
    v.pid,
    v.status.ppid,
    v.status.nsSid,
    v.status.nsPgid,
    v.dead,
    v.threads.map((t) => t.tid),
    v.tables,
    v.stat.ttyNr,
    v.namespaces,
  ]);
