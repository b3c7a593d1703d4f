import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { DomainError } from './errors.js';
import { holdFiles, kindOf } from './files.js';
import type { FrozenDomain, FrozenProcess } from './frozen.js';
import type { CheckpointContext, MemoryObject, SavedFile, SavedPart } from './kinds/kind.js';
import { processKinds } from './kinds/registry.js';
import { PROT } from './linux/flags.js';
import { readFile, readTexts } from './linux/os.js';
import { targetVmas, type TargetVma } from './memory/layout.js';
import { intersect, normalize, type Range } from './memory/ranges.js';
import { ownPages } from './memory/scan.js';
import { keptVvarPages } from './memory/vdso.js';
import { isVdso, isVvar } from './proc/maps.js';
import { surveyProcesses, type ProcessView } from './proc/survey.js';
import { parseStatus, type Status } from './proc/status.js';
import { AREA_SIZE } from './trace/runner.js';
import type { Registers, Tracee } from './trace/tracee.js';

/** The kernel's own mappings of a process. */
export interface VdsoImage {
  readonly vvar: Range;
  readonly vdso: Range;
  readonly image: Uint8Array;
}

export interface ThreadImage {
  readonly tid: number;
  readonly status: Status;
  readonly regs: Registers;
  readonly fp: Uint8Array;
  readonly mask: bigint;
}

export interface ProcessImage {
  readonly view: ProcessView;
  readonly frozen: FrozenProcess;
  readonly threads: readonly ThreadImage[];
  readonly vmas: readonly TargetVma[];
  /** Where the process has pages of its own. */
  readonly pages: readonly Range[];
  readonly vdso: VdsoImage;
  /** Images of other kernels that earlier moves left in place. */
  readonly keptVdsos: readonly VdsoImage[];
  readonly brk: number;
  readonly auxv: Uint8Array;
  readonly parts: readonly SavedPart[];
}

/** Everything that is needed to make the domain anew, but for the contents of its memory. */
export interface DomainImage {
  readonly processes: readonly ProcessImage[];
  readonly files: readonly SavedFile[];
  readonly objects: readonly MemoryObject[];
  /** Lets go of the descriptors that the source's hands hold for it. */
  close(): Promise<void>;
}

/** Looks at everything a running domain has, and refuses by name what cannot be moved. Throws `unsupported`. */
export function refuseUnsupported(views: readonly ProcessView[], anchor: ProcessView): void {
  for (const view of views) {
    for (const kind of processKinds) kind.describe?.(view);
    for (const d of view.descriptors) kindOf(d, view).describe?.(d, view);
    for (const [name, ns] of Object.entries(view.namespaces)) {
      if (ns !== anchor.namespaces[name]) {
        throw new DomainError('unsupported', `process ${view.pid} has a ${name} namespace of its own`, {
          resource: `a ${name} namespace`,
        });
      }
    }
  }
}

/** Looks at the open files of a running domain themselves, where /proc does not tell enough. Throws `unsupported`. */
export async function inspectFiles(hands: Hands, views: readonly ProcessView[]): Promise<void> {
  const held = await holdFiles(hands, views);
  try {
    for (const f of held) {
      const process = views.find((v) => v.pid === f.users[0]?.pid);
      if (process !== undefined) await kindOf(f.view, process).inspect?.(hands, f);
    }
  } finally {
    const b = hands.batch();
    for (const f of held) b.call(SYS.close, f.held);
    await b.run();
  }
}

/** Describes a frozen domain with planted runners. The domain can still go on where it is. */
export async function checkpoint(frozen: FrozenDomain): Promise<DomainImage> {
  const { hands, anchor, undo } = frozen;
  const views = await surveyProcesses(
    hands,
    frozen.processes.map((p) => p.hostPid),
  );
  const context: CheckpointContext = {
    hands,
    anchor,
    undo,
    views,
    threadIds: await threadIds(frozen),
    objects: new Map(),
  };

  const processes: ProcessImage[] = [];
  for (const p of frozen.processes) {
    const view = views.find((v) => v.hostPid === p.hostPid);
    if (view === undefined) throw new DomainError('lost', `process ${p.hostPid} is gone`);
    processes.push(await checkpointProcess(context, p, view));
  }

  const held = await holdFiles(hands, views);
  const close = async (): Promise<void> => {
    const b = hands.batch();
    for (const f of held.splice(0)) b.call(SYS.close, f.held);
    for (const o of context.objects.values()) b.call(SYS.close, o.sourceFd);
    context.objects.clear();
    await b.run();
  };
  undo.add('closing held descriptors', close);
  const files: SavedFile[] = [];
  for (const f of held) {
    const process = views.find((v) => v.pid === f.users[0]?.pid);
    if (process === undefined) continue;
    files.push(await kindOf(f.view, process).checkpoint(context, f));
  }
  return { processes, files, objects: [...context.objects.values()], close };
}

async function checkpointProcess(
  context: CheckpointContext,
  frozen: FrozenProcess,
  view: ProcessView,
): Promise<ProcessImage> {
  const { hands } = context;
  const leader = frozen.leader.tracee;
  const area = { start: leader.area, end: leader.area + AREA_SIZE };
  const vmas = targetVmas(view.vmas, area);

  const parts: SavedPart[] = [];
  for (const kind of processKinds) parts.push(await kind.checkpoint({ context, view, frozen, leader }));

  const vdsoVma = view.vmas.find(isVdso);
  const vvars = view.vmas.filter(isVvar);
  if (vdsoVma === undefined || vvars.length === 0)
    throw new DomainError('unsupported', `process ${view.pid} has no vDSO`);
  const vvar = { start: Math.min(...vvars.map((v) => v.start)), end: Math.max(...vvars.map((v) => v.end)) };

  const anonymous = normalize(vmas.filter((v) => !v.shared));
  return {
    view,
    frozen,
    vmas,
    pages: intersect(await ownPages(hands, view.hostPid), anonymous),
    vdso: {
      vvar,
      vdso: { start: vdsoVma.start, end: vdsoVma.end },
      image: await leader.peek(vdsoVma.start, vdsoVma.end - vdsoVma.start),
    },
    keptVdsos: await keptVdsos(leader, vmas),
    brk: await leader.syscall(SYS.brk, 0),
    auxv: (await readFile(hands, `/proc/${view.hostPid}/auxv`)) ?? new Uint8Array(0),
    threads: await threadImages(context, frozen),
    parts,
  };
}

/** Ids in the domain of all threads, by their ids in the hands' PID namespace. */
async function threadIds(frozen: FrozenDomain): Promise<Map<number, number>> {
  const all = frozen.processes.flatMap((p) => p.threads.map((t) => ({ hostPid: p.hostPid, tid: t.tracee.tid })));
  const texts = await readTexts(
    frozen.hands,
    all.map((t) => `/proc/${t.hostPid}/task/${t.tid}/status`),
    1,
  );
  return new Map(all.map((t, i) => [t.tid, parseStatus(texts[i] ?? '').nsPid.at(-1) ?? -1]));
}

/** Ids of the threads in the domain, and what they looked like when they were stopped. */
async function threadImages(context: CheckpointContext, frozen: FrozenProcess): Promise<ThreadImage[]> {
  const texts = await readTexts(
    context.hands,
    frozen.threads.map((t) => `/proc/${frozen.hostPid}/task/${t.tracee.tid}/status`),
    1,
  );
  return frozen.threads.map((t, i) => {
    const status = parseStatus(texts[i] ?? '');
    const tid = status.nsPid.at(-1);
    if (tid === undefined) throw new DomainError('lost', `thread ${t.tracee.tid} is gone`);
    return { tid, status, regs: t.regs, fp: t.fp, mask: t.mask };
  });
}

/** Images of other kernels' vDSOs that earlier moves left in the process. */
async function keptVdsos(leader: Tracee, vmas: readonly TargetVma[]): Promise<VdsoImage[]> {
  const kept: VdsoImage[] = [];
  for (const v of vmas) {
    if (v.backing.kind !== 'anonymous' || v.prot !== (PROT.READ | PROT.EXEC) || v.end - v.start > 0x10000) continue;
    const image = await leader.peek(v.start, v.end - v.start);
    const pages = keptVvarPages(image);
    if (pages > 0)
      kept.push({ vvar: { start: v.start - pages * 4096, end: v.start }, vdso: { start: v.start, end: v.end }, image });
  }
  return kept;
}
