import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../errors.js';
import { holdFiles, kindOf, lookers } from './files.js';
import type { FrozenDomain } from '../freeze/frozen.js';
import type { FrozenProcess, FrozenThread } from '../freeze/frozen-thread.js';
import { refuseState } from '../freeze/stoppable.js';
import type { CheckpointContext, LookContext, ProcessKind, SavedFile, SavedPart, SavedShare } from '../kinds/kind.js';
import { domainKinds, processKinds } from '../kinds/registry.js';
import { closeAll } from '../linux/making.js';
import { readFile } from '../linux/os.js';
import type { FrameMover } from '../memory/mover.js';
import { mappedObjects, type MemoryObject } from '../memory/objects.js';
import { refuseMappings } from '../memory/refused.js';
import { CLOCK_BYTES } from '../memory/vdso.js';
import { broughtBy } from './foresee.js';
import { refuseNamespaces } from './namespaces.js';
import { ownersOf } from './file-owners.js';
import { outlineProcess, type Foresight, type Outline } from './outline.js';
import { refuseOrphansOutside, refuseStrays } from './strays.js';
import { withTables } from './shared-tables.js';
import { placeFiles } from '../mounts/places.js';
import { lookAtSpaces } from '../mounts/spaces.js';
import { isVvar } from '../proc/maps.js';
import { surveyProcesses, type ProcessView } from '../proc/survey.js';
import { Sequence, together } from '../together.js';
import { refusing, refusingLater, type OnRefusal } from '../refusals.js';
import { WCOREDUMP } from '../tree/dead.js';
import { birthOrder, idsOf, placesOf } from '../tree/tree.js';
import { PC, REG, type Registers, type Tracee } from '../trace/tracee.js';
import type { Wait } from '../freeze/wait.js';

export interface ThreadImage {
  readonly tid: number;
  readonly regs: Registers;
  readonly fp: Uint8Array;
  readonly mask: bigint;
  readonly wait?: Wait;
}

export interface ProcessImage extends Outline {
  readonly frozen: FrozenProcess;
  readonly threads: readonly ThreadImage[];
  readonly brk: number;
  readonly auxv: Uint8Array;
  /** What the vDSO's code reads clocks from, as it stands: see {@link quietClocks}. */
  readonly clocks: Uint8Array;
  readonly parts: readonly SavedPart[];
}

/** Everything that is needed to make the domain anew, but for the contents of its memory. */
export interface DomainImage {
  readonly source: Hands;
  readonly processes: readonly ProcessImage[];
  readonly files: readonly SavedFile[];
  readonly objects: readonly MemoryObject[];
  readonly shares: readonly SavedShare[];
  /** Lets go of the descriptors that the source's hands hold for it. */
  close(): Promise<void>;
}

/**
 * Looks at everything a running domain has, and refuses by name what cannot be moved. Throws `unsupported`, or has `tell`
 * told of all there is.
 */
export function refuseUnsupported(views: readonly ProcessView[], anchor: ProcessView, tell?: OnRefusal): void {
  refusing(tell, () => refuseStrays([...views, anchor]));
  refusing(tell, () => void birthOrder(placesOf(views), idsOf(views)));
  for (const { pid, dead } of views)
    if (dead.some((d) => (d.waitStatus & WCOREDUMP) !== 0))
      refusing(tell, () => {
        throw unsupported('a child that ended with a core dump', `process ${pid}`);
      });
  for (const view of views) {
    for (const t of view.threads)
      // Whoever waits where no stop reaches may be elsewhere in a moment: refuseStuck looks again.
      if (t.status.state !== 'D') refusing(tell, () => refuseState(t.status, `thread ${t.tid} of process ${view.pid}`));
    refuseProcess(view, anchor.namespaces, tell);
  }
}

/** Refuses what one process has, running or not. `namespaces`: the domain's own. */
function refuseProcess(view: ProcessView, namespaces: ProcessView['namespaces'], tell?: OnRefusal): void {
  refusing(tell, () => refuseMappings(view));
  for (const kind of processKinds) refusing(tell, () => kind.describe?.(view));
  for (const d of view.descriptors) refusing(tell, () => kindOf(d, view).describe?.(d, view));
  refusing(tell, () => refuseNamespaces(view, namespaces));
}

/**
 * Looks at what a running domain shares, and at its open files themselves, where /proc does not tell enough. Throws
 * `unsupported`, or has `tell` told of all there is.
 */
export async function inspectShared(context: LookContext, tell?: OnRefusal): Promise<void> {
  const { hands, views } = context;
  await together(domainKinds.map((kind) => refusingLater(tell, () => kind.describe?.(context))));
  const { files } = context;
  const lookerAt = lookers(views);
  // What no kind knows was refused already.
  const looking = tell === undefined ? context : { ...context, views: views.map(onlyKnown) };
  try {
    await refusingLater(tell, () => holdFiles(looking));
    await together(
      files.map((f) => {
        const process = lookerAt(f);
        if (process === undefined) return undefined;
        return refusingLater(tell, () => kindOf(f.view, process).inspect?.(looking, f));
      }),
    );
  } finally {
    await closeAll(
      hands,
      files.map((f) => f.held),
    );
  }
}

function onlyKnown(view: ProcessView): ProcessView {
  const isKnown = (d: ProcessView['descriptors'][number]): boolean => {
    let known = true;
    refusing(
      () => (known = false),
      () => void kindOf(d, view),
    );
    return known;
  };
  return { ...view, descriptors: view.descriptors.filter(isKnown) };
}

/**
 * Describes a frozen domain, with runners planted into its processes. The domain can still go on where it is.
 *
 * `seen`: told of its processes before anything is asked that can be asked only once since the look, such as what has changed;
 * may throw.
 */
export async function checkpoint(
  frozen: FrozenDomain,
  mover: FrameMover,
  foresight: Foresight,
  seen: (views: readonly ProcessView[]) => void = () => undefined,
): Promise<DomainImage> {
  const { hands, anchor, undo } = frozen;
  const [surveyed] = await together([
    surveyProcesses(
      hands,
      frozen.processes.map((p) => p.hostPid),
      foresight.held,
    ),
    frozen.plantRunners(mover, foresight),
    refuseOrphansOutside(hands, anchor.pid, frozen.processes, foresight.held),
  ]);
  const bare = await withTables(
    hands,
    surveyed,
    foresight.known.map((o) => o.view),
  );
  seen(bare);
  // What came since the look.
  refuseStrays(bare);
  for (const view of bare) refuseProcess(view, anchor.namespaces);
  const kept: number[] = [];
  const hold = (fd: number): void => void kept.push(fd);
  undo.add('closing what was opened to look at namespaces', () => closeAll(hands, kept.splice(0)));
  const mountSpaces = await lookAtSpaces({ hands, anchor, views: bare, hold }, foresight.mountSpaces);
  const views = await placeFiles({ hands, anchor }, bare, mountSpaces);
  const viewOf = new Map(views.map((v) => [v.hostPid, v]));
  const context: CheckpointContext = {
    hands,
    anchor,
    undo,
    views,
    mountSpaces,
    frozen: new Map(frozen.processes.map((p) => [p.hostPid, p])),
    threadIds: new Map(views.flatMap((v) => v.threads.map((t) => [t.hostTid, t.tid]))),
    objects: new Map(),
    foreseen: foresight.shares,
    brought: broughtBy(foresight.shares),
    lacking: foresight.lacking,
    hold,
    files: [],
    inside: new Map(),
    answers: new Map(),
    leaders: new Map(
      frozen.processes.flatMap((p) => {
        const view = viewOf.get(p.hostPid);
        return view === undefined ? [] : [[view.pid, p.leader.tracee]];
      }),
    ),
  };

  const close = async (): Promise<void> => {
    const fds = [
      ...context.files.splice(0).map((f) => f.held),
      ...[...context.objects.values()].map((o) => o.sourceFd),
      ...kept.splice(0),
    ];
    context.objects.clear();
    await closeAll(hands, fds);
  };
  undo.add('closing held descriptors', close);
  const [processes, files, shares] = await together([
    together(frozen.processes.map((p) => checkpointProcess(context, mover, p, viewOf.get(p.hostPid), foresight))),
    checkpointFiles(context),
    together(domainKinds.map((kind) => kind.checkpoint(context))),
  ]);
  return {
    source: hands,
    processes: processes.map((p) => ({
      ...p,
      threads: p.threads.map((t, i) => answered(context, p.frozen.threads[i], t)),
    })),
    files,
    objects: [...context.objects.values()],
    shares,
    close,
  };
}

/** A thread as it goes on in another kernel, where a call that it was stopped in is over: past the call, with its answer. */
function answered({ answers }: CheckpointContext, frozen: FrozenThread | undefined, thread: ThreadImage): ThreadImage {
  const answer = answers.get(frozen?.tracee.tid ?? -1);
  if (answer === undefined) return thread;
  const regs = thread.regs.slice();
  regs[PC] = (regs[PC] ?? 0n) + 4n;
  regs[REG.a0] = BigInt.asUintN(64, BigInt(answer));
  return { ...thread, regs };
}

/** Open files, and the memory objects that they and mappings lead to. */
async function checkpointFiles(context: CheckpointContext): Promise<SavedFile[]> {
  const { hands, views, objects, files } = context;
  await together([mappedObjects(hands, views, objects), holdFiles(context)]);
  const queue = new Sequence();
  const lookerAt = lookers(views);
  const [byFile, ...saved] = await together([
    ownersOf(context, files),
    ...files.map((file) => {
      const process = lookerAt(file);
      if (process === undefined) return undefined;
      const kind = kindOf(file.view, process);
      const work = (): Promise<SavedFile> => kind.checkpoint(context, file);
      return kind.independent === true ? work() : queue.run(work);
    }),
  ]);
  return saved.flatMap((f) => {
    if (f === undefined) return [];
    const owner = byFile.get(f.id);
    return [owner === undefined ? f : { ...f, owner }];
  });
}

/** The first data pages of the vDSO. Only the process itself can read them, and does so for us. */
async function readClocks(view: ProcessView, leader: Tracee): Promise<Uint8Array> {
  const vvar = view.vmas.find(isVvar);
  if (vvar === undefined) return new Uint8Array(0);
  const length = Math.min(CLOCK_BYTES, vvar.end - vvar.start);
  const b = leader.batch();
  const out = b.out(length);
  const n = b.call(SYS.process_vm_writev, view.pid, b.iovec([vvar.start, length]), 1, b.iovec(out), 1, 0);
  const r = await b.run();
  return r.bytes(out, Math.max(0, r.value(n)));
}

async function checkpointProcess(
  context: CheckpointContext,
  mover: FrameMover,
  frozen: FrozenProcess,
  view: ProcessView | undefined,
  foresight: Foresight,
): Promise<ProcessImage> {
  const { hands } = context;
  if (view === undefined) throw new DomainError('lost', `process ${frozen.hostPid} is gone`);
  const { space } = frozen;
  const leader = frozen.leader.tracee;
  const partsOf = (kinds: readonly ProcessKind[]): Promise<SavedPart[]> =>
    together(kinds.map((kind) => kind.checkpoint({ context, view, frozen, leader })));
  const [parts, outline, brk, auxv, clocks] = await together([
    (async () => {
      const first = await partsOf(processKinds.filter((k) => k.stops === true));
      return [...first, ...(await partsOf(processKinds.filter((k) => k.stops !== true)))];
    })(),
    outlineProcess(hands, view, leader.area, space === undefined ? undefined : (ranges) => mover.look(space, ranges)),
    leader.syscall(SYS.brk, 0),
    readFile(hands, `/proc/${view.hostPid}/auxv`, foresight.held),
    readClocks(view, leader),
  ]);
  return {
    ...outline,
    frozen,
    brk,
    auxv: auxv ?? new Uint8Array(0),
    clocks,
    threads: frozen.threads.map((t) => {
      const tid = context.threadIds.get(t.tracee.tid);
      if (tid === undefined) throw new DomainError('lost', `thread ${t.tracee.tid} is gone`);
      return { tid, regs: t.regs, fp: t.fp, mask: t.mask, ...(t.wait !== undefined && { wait: t.wait }) };
    }),
    parts,
  };
}
