import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { DomainError } from './errors.js';
import { holdFiles, kindOf } from './files.js';
import type { FrozenDomain, FrozenProcess } from './frozen.js';
import type { CheckpointContext, SavedFile, SavedPart } from './kinds/kind.js';
import { processKinds } from './kinds/registry.js';
import { readFile } from './linux/os.js';
import { mappedObjects, type MemoryObject } from './memory/objects.js';
import { outlineProcess, type Outline } from './outline.js';
import { surveyProcesses, type ProcessView } from './proc/survey.js';
import { birthOrder } from './tree.js';
import type { Registers } from './trace/tracee.js';

export interface ThreadImage {
  readonly tid: number;
  readonly regs: Registers;
  readonly fp: Uint8Array;
  readonly mask: bigint;
}

export interface ProcessImage extends Outline {
  readonly frozen: FrozenProcess;
  readonly threads: readonly ThreadImage[];
  readonly brk: number;
  readonly auxv: Uint8Array;
  readonly parts: readonly SavedPart[];
}

/** Everything that is needed to make the domain anew, but for the contents of its memory. */
export interface DomainImage {
  readonly source: Hands;
  readonly processes: readonly ProcessImage[];
  readonly files: readonly SavedFile[];
  readonly objects: readonly MemoryObject[];
  /** Lets go of the descriptors that the source's hands hold for it. */
  close(): Promise<void>;
}

/** Looks at everything a running domain has, and refuses by name what cannot be moved. Throws `unsupported`. */
export function refuseUnsupported(views: readonly ProcessView[], anchor: ProcessView): void {
  birthOrder(views);
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
    threadIds: new Map(views.flatMap((v) => v.threads.map((t) => [t.hostTid, t.tid]))),
    objects: new Map(),
  };

  const processes: ProcessImage[] = [];
  for (const p of frozen.processes) {
    const view = views.find((v) => v.hostPid === p.hostPid);
    if (view === undefined) throw new DomainError('lost', `process ${p.hostPid} is gone`);
    processes.push(await checkpointProcess(context, p, view));
  }

  await mappedObjects(hands, views, context.objects);
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
  return { source: hands, processes, files, objects: [...context.objects.values()], close };
}

async function checkpointProcess(
  context: CheckpointContext,
  frozen: FrozenProcess,
  view: ProcessView,
): Promise<ProcessImage> {
  const { hands } = context;
  const leader = frozen.leader.tracee;
  const parts: SavedPart[] = [];
  for (const kind of processKinds) parts.push(await kind.checkpoint({ context, view, frozen, leader }));
  return {
    ...(await outlineProcess(hands, view, leader.area)),
    frozen,
    brk: await leader.syscall(SYS.brk, 0),
    auxv: (await readFile(hands, `/proc/${view.hostPid}/auxv`)) ?? new Uint8Array(0),
    threads: frozen.threads.map((t) => {
      const tid = context.threadIds.get(t.tracee.tid);
      if (tid === undefined) throw new DomainError('lost', `thread ${t.tracee.tid} is gone`);
      return { tid, regs: t.regs, fp: t.fp, mask: t.mask };
    }),
    parts,
  };
}
