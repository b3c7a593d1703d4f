import { HandsError } from '../../guest/hands/errors.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { Anchor } from '../tree/anchor.js';
import type { DomainImage } from '../checkpoint/checkpoint.js';
import { highestFd, type Outline } from '../checkpoint/outline.js';
import { DomainError, unsupported } from '../errors.js';
import type { FileKind, RestoreContext, SavedFile, SavedShare, Stage } from '../kinds/kind.js';
import { domainKinds, fileKinds, kindNamed, processKinds } from '../kinds/registry.js';
import { CLONE, PR, SIG } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import { asMade, KnownMappings } from '../memory/advice.js';
import type { FlipReceipt } from '../memory/mover.js';
import type { SharedPages } from '../memory/shared-pages.js';
import { segmentOf } from '../memory/layout.js';
import { makeObject, ObjectTransfer } from '../memory/objects.js';
import { restoreOwners } from '../checkpoint/file-owners.js';
import { bury, end } from '../tree/dead.js';
import { forgetSignal } from '../trace/stop-job.js';
import type { ProcessView } from '../proc/survey.js';
import { ownSpaces } from '../kinds/process/namespaces.js';
import { indexOf } from '../kinds/terminals/number.js';
import { giveUpTerminal, pairsOf } from '../kinds/terminals/pairs.js';
import { Heirs } from './heirs.js';
import { planInheritance, type Layout } from './inheritance.js';
import { isNameless, Reborn } from './reborn.js';
import { enterSpaces } from '../spaces/enter.js';
import { Sequence, together } from '../together.js';
import { cloneArgs } from '../trace/clone.js';
import { ANCHOR, birthOrder, idsOf, placesOf, type Birth } from '../tree/tree.js';
import { SyscallRunner } from '../trace/running.js';
import { Tracee } from '../trace/tracee.js';
import { letGoHeld } from '../freeze/seize.js';
import { shorten } from '../freeze/waits.js';

/**
 * A domain coming to life in an OS instance. Its methods are called in the order in which they stand here;
 * nothing runs before {@link resume}, and up to it everything can be undone.
 */
export class Restoration {
  readonly processes = new Map<number, Reborn>();

  readonly context: RestoreContext;

  constructor(context: Omit<RestoreContext, 'processes'>) {
    this.context = { ...context, processes: this.processes };
    context.actors.begets((pid) => this.#beget(this.anchor.tracee, pid, false));
  }

  get anchor(): Anchor {
    return this.context.anchor;
  }

  #image: DomainImage | undefined;

  /** What is restored: known once the original stands still. */
  get image(): DomainImage {
    if (this.#image === undefined) throw new DomainError('state', 'there is no checkpoint yet');
    return this.#image;
  }
  set image(image: DomainImage) {
    this.#image = image;
    this.context.flipped.stands = true;
  }

  /**
   * Parents before children: every process with its id, empty but for the runner, the vDSO and pages that it has in common with
   * others. `shapes`: with the mappings that can be made now; `shared`: what the originals share.
   */
  async bear(outlines: readonly Outline[], shapes: readonly Outline[], shared: readonly SharedPages[]): Promise<void> {
    const views = outlines.map((o) => o.view);
    const births = birthOrder(placesOf(views), idsOf(views));
    const plan = planInheritance(
      births,
      shared,
      shapes.map((o) => layoutOf(o, this.context)),
    );
    const tracees = await this.#bearAll(views, births, new Heirs(plan));
    const dead = new Map(views.flatMap((v) => v.dead.map((d) => [d.pid, { ...d, tracee: tracees.get(d.pid) }])));
    await this.#joinGroups(views, tracees);
    for (const { pid, dead: children } of views) {
      const signals = new Set<number>();
      for (const d of children) {
        const tracee = dead.get(d.pid)?.tracee;
        if (tracee !== undefined) await end(tracee, d.waitStatus);
        signals.add(d.exitSignal);
      }
      // It must not hear of them again.
      for (const signal of signals) if (signal > 0) await forgetSignal(this.#reborn(pid).leader, signal);
    }
    const makeReady = async (p: Outline): Promise<void> => {
      const reborn = this.#reborn(p.view.pid);
      const owner = hasOthersFiles(p.view) ? this.#reborn(p.view.tables.files) : undefined;
      await reborn.strip(highestFd(p.view), owner);
      await reborn.settle(p, plan.keeps.get(p.view.pid) ?? []);
      await reborn.placeVdso(p.vdso, p.keptVdsos, p.vmas);
      await reborn.identify();
      if (!isNameless(p.view)) await reborn.descriptors.openExe(p.view.exe, p.view.places?.exe);
      for (const t of p.view.threads) if (t.tid !== p.view.pid) await reborn.bearThread(t.tid);
    };
    await together(outlines.filter((p) => !hasOthersFiles(p.view)).map(makeReady));
    await together(outlines.filter((p) => hasOthersFiles(p.view)).map(makeReady));
  }

  /** Brings processes to life, also those that have ended already. */
  async #bearAll(views: readonly ProcessView[], births: readonly Birth[], heirs: Heirs): Promise<Map<number, Tracee>> {
    await heirs.begin(this.anchor.tracee);
    const tracees = new Map<number, Tracee>([[ANCHOR, this.anchor.tracee]]);
    const own = ownSpaces(this.context);
    const spaces = new Map([[ANCHOR, own]]);
    const living = new Map(views.map((v) => [v.pid, v]));
    const dead = new Map(views.flatMap((v) => v.dead.map((d) => [d.pid, d])));
    const terminalOf = new Map(
      views.flatMap(({ pid, stat }) => (stat.ttyNr === 0 ? [] : [[pid, indexOf(stat.ttyNr)] as const])),
    );
    const of = (pid: number): Tracee => {
      const tracee = tracees.get(pid);
      if (tracee === undefined) throw new DomainError('state', `process ${pid} was not made`);
      return tracee;
    };
    for (const [index, birth] of births.entries()) {
      const { act, pid } = birth;
      switch (act) {
        case 'setsid':
          check(await of(pid).syscall(SYS.setsid), 'setsid');
          if (terminalOf.has(pid)) await pairsOf(this.context).control(of(pid), terminalOf.get(pid) ?? -1);
          break;
        case 'reaper':
          check(await of(pid).syscall(SYS.prctl, PR.SET_CHILD_SUBREAPER, birth.on ? 1 : 0, 0, 0, 0), 'reaping');
          break;
        case 'end':
          await end(of(pid), 0);
          await bury(of(birth.by), pid);
          tracees.delete(pid);
          break;
        case 'bear': {
          const view = living.get(pid);
          const exitSignal = view?.stat.exitSignal ?? dead.get(pid)?.exitSignal;
          const shared = view === undefined ? 0 : sharedAtBirth(view);
          await heirs.beforeBirth(index, birth.by, of(birth.by));
          const tracee = await this.#beget(of(birth.by), pid, birth.sibling, shared, exitSignal);
          tracees.set(pid, tracee);
          const born = spaces.get(birth.by);
          spaces.set(pid, own === undefined ? undefined : (view?.namespaces ?? born));
          if (view === undefined) {
            heirs.born(pid, birth.by, tracee);
            break;
          }
          if (born !== undefined) await enterSpaces(this.context, tracee, born, view.namespaces);
          const reborn = new Reborn(this.context, pid, tracee);
          heirs.born(pid, birth.by, tracee, reborn.memory);
          this.processes.set(pid, reborn);
          this.context.actors.add(pid, () => {
            // What it would make would be there.
            if (own !== undefined && view.namespaces['net'] !== own['net'])
              throw unsupported('a socket made by who is in another network namespace now', `process ${pid}`);
            return { tracee, handsFd: reborn.descriptors.handsFd };
          });
        }
      }
    }
    await heirs.end();
    for (const { pid, stat, status } of views) {
      const session = status.nsSid.at(-1) ?? -1;
      if (stat.ttyNr === 0 && session !== pid && terminalOf.has(session)) await giveUpTerminal(of(pid));
    }
    return tracees;
  }

  /** `shared`: flags of what it has in common with whom it is begotten by. */
  async #beget(by: Tracee, pid: number, sibling: boolean, shared = 0, exitSignal: number = SIG.CHLD): Promise<Tracee> {
    const b = by.batch();
    // A sibling says what the one who begets it says.
    const how = sibling ? { flags: BigInt(CLONE.PARENT | shared) } : { flags: BigInt(shared), exitSignal };
    const args = cloneArgs(b, { ...how, setTid: pid });
    const made = b.call(SYS.clone3, args, args.length);
    check((await b.run()).value(made), `making process ${pid}`);
    const [born] = by.born;
    if (born === undefined) throw new DomainError('lost', 'a new process was not announced');
    const tracee = new Tracee(this.context.hands, born, new SyscallRunner(this.context.hands, by.area));
    await tracee.awaitStop();
    return tracee;
  }

  /** Process groups. A leader that is gone is made for as long as it takes the others to join its group. */
  async #joinGroups(views: readonly ProcessView[], tracees: ReadonlyMap<number, Tracee>): Promise<void> {
    const members = new Map<number, Tracee[]>();
    const join = (pid: number, group: number, session: number): void => {
      const tracee = tracees.get(pid);
      // The leader of a session leads its group, and cannot leave it; the group of one that is gone is where all begin.
      const there = session === pid || group === ANCHOR || (group === session && !tracees.has(group));
      if (tracee !== undefined && !there) members.set(group, [...(members.get(group) ?? []), tracee]);
    };
    for (const { pid, status, dead } of views) {
      join(pid, status.nsPgid.at(-1) ?? -1, status.nsSid.at(-1) ?? -1);
      for (const d of dead) join(d.pid, d.group, d.session);
    }
    for (const [group, joining] of members) {
      const leader = tracees.get(group);
      const [first] = joining;
      if (first === undefined) continue;
      const ghost = leader === undefined ? await this.#beget(first, group, false) : undefined;
      const head = leader ?? ghost;
      if (head !== undefined && (joining.includes(head) || head === ghost))
        check(await head.syscall(SYS.setpgid, 0, 0), 'making a process group');
      for (const t of joining) if (t !== head) check(await t.syscall(SYS.setpgid, 0, group), 'joining a process group');
      if (ghost === undefined) continue;
      await end(ghost, 0);
      await bury(first, group);
    }
  }

  #reborn(pid: number): Reborn {
    const reborn = this.processes.get(pid);
    if (reborn === undefined) throw new DomainError('state', `process ${pid} was not made`);
    return reborn;
  }

  /** Mappings, populated where the originals have pages. To be repeated as the originals change. */
  async shape(outlines: readonly Outline[]): Promise<void> {
    await together(outlines.map((p) => this.#reborn(p.view.pid).shapeMemory(p.vmas, p.vdso, p.pages)));
  }

  /** Who has pages in common with others that the originals have apart now gives them up: to be done before the last {@link shape}. */
  async part(): Promise<void> {
    const common = await together(
      this.image.processes.map(async (p) => {
        const reborn = this.#reborn(p.view.pid);
        const pages = await reborn.forsake(p);
        return pages === undefined ? [] : [{ reborn, pages }];
      }),
    );
    const closer = common.flat();
    const apart = await this.context.mover.strangers(closer.map((c) => c.pages));
    await together(closer.map(({ reborn }, i) => reborn.memory.part(apart[i] ?? [])));
  }

  /** What the flip will look at, looked at before. */
  async rehearseFlip(outlines: readonly Outline[]): Promise<void> {
    await together(
      outlines.map(async (p) => {
        const reborn = this.#reborn(p.view.pid);
        await this.context.mover.prepare(await reborn.identify(), reborn.flippable(p.pages));
      }),
    );
  }

  /** Open files: made by the hands, then given to everyone who has them. */
  async openFiles(): Promise<void> {
    const { context } = this;
    context.undo.add('closing descriptors', () => this.#closeHeld());
    await this.#jointly((kind, files) => kind.prepare?.(context, files));
    const made = new Map<string, Promise<void>>();
    const queues = new Map<string, Sequence>();
    await together(
      inOrder(this.image.files).map((f) => {
        const make = async (): Promise<void> => {
          await together(f.after.map((id) => made.get(id)));
          context.fileFds.set(f.id, await kindNamed(fileKinds, f.kind).restore(context, f));
        };
        const queue = f.queue === undefined ? undefined : (queues.get(f.queue) ?? new Sequence());
        if (f.queue !== undefined && queue !== undefined) queues.set(f.queue, queue);
        const done = queue === undefined ? make() : queue.run(make);
        made.set(f.id, done);
        return done;
      }),
    );
    await this.#jointly((kind, files) => kind.complete?.(context, files));
    await context.actors.dismiss();
    const own = new Map<number, { handsFd: number; fd: number; cloexec: boolean }[]>();
    for (const f of this.image.files) {
      const handsFd = context.fileFds.get(f.id) ?? -1;
      for (const { pid, fd, cloexec } of f.users) {
        const files = own.get(pid);
        if (files === undefined) own.set(pid, [{ handsFd, fd, cloexec }]);
        else files.push({ handsFd, fd, cloexec });
      }
    }
    await together([
      this.#closeUntaken(),
      ...this.image.processes.map(({ view }) =>
        hasOthersFiles(view) ? undefined : this.#reborn(view.pid).descriptors.install(own.get(view.pid) ?? []),
      ),
    ]);
    await together(
      this.image.files.map((f) => {
        const user = f.users[0];
        if (user === undefined) return undefined;
        return kindNamed(fileKinds, f.kind).connect?.(this.#reborn(user.pid), user.fd, f);
      }),
    );
    await restoreOwners(this.image.files, (pid) => this.#reborn(pid));
  }

  /** What the files of each kind need together. */
  async #jointly(work: (kind: FileKind, files: readonly SavedFile[]) => Promise<void> | undefined): Promise<void> {
    await together(
      fileKinds.map((kind) => {
        const files = this.image.files.filter((f) => f.kind === kind.name);
        return files.length === 0 ? undefined : work(kind, files);
      }),
    );
  }

  /** Ends of pipes that nobody took: the other side shall see them closed before anybody is told what happens to it. */
  async #closeUntaken(): Promise<void> {
    const { hands, pipes, fileFds } = this.context;
    const taken = new Set(fileFds.values());
    const ends = [...pipes.values()].flatMap(({ read, write }) => [read, write]).filter((fd) => !taken.has(fd));
    pipes.clear();
    await closeAll(hands, ends);
  }

  async #closeHeld(): Promise<void> {
    const untaken = this.#closeUntaken();
    const fds = [...this.context.fileFds.values()];
    this.context.fileFds.clear();
    await together([untaken, closeAll(this.context.hands, fds)]);
  }

  /** Memory objects, still empty, and what the domain has as a whole. */
  async makeShared(): Promise<void> {
    const { hands, objectFds, undo } = this.context;
    undo.add('closing memory objects', () => this.#closeObjects());
    await together(
      // Segments and deleted files are made by the kinds that know what they were.
      this.image.objects
        .filter((o) => segmentOf(o.key) === undefined && !o.deletedFile)
        .map(async (o) => {
          objectFds.set(o.key, await makeObject(hands, o));
        }),
    );
    const restoreAll = (some: readonly SavedShare[]): Promise<unknown> =>
      together(some.map((s) => kindNamed(domainKinds, s.kind).restore(this.context, s.data)));
    const isPrepared = (s: SavedShare): boolean => this.context.prepared.has(s.kind);
    // Others may find files on what has been prepared, or make some there.
    await restoreAll(this.image.shares.filter(isPrepared));
    await restoreAll(this.image.shares.filter((s) => !isPrepared(s)));
  }

  async #closeObjects(): Promise<void> {
    await this.#transfer.close();
    const fds = [...this.context.objectFds.values()];
    this.context.objectFds.clear();
    await closeAll(this.context.hands, fds);
  }

  readonly #transfer = new ObjectTransfer();

  /** Exchanges the frames of both sides. */
  async flip(): Promise<FlipReceipt> {
    const { context } = this;
    const { mover, hands, objectFds } = context;
    const { image } = this;
    await together(
      image.objects.map((o) => this.#transfer.add(mover, image.source, o, hands, objectFds.get(o.key) ?? -1)),
    );
    const [files, ...own] = await together([
      context.flipped.moves(mover),
      ...image.processes.map((p) => this.#reborn(p.view.pid).moves(p)),
    ]);
    return mover.flip([...this.#transfer.moves, ...files, ...own.flat()]);
  }

  /** Everything else, into its checkpoint state. */
  async finish(): Promise<void> {
    await together(this.image.processes.map((p) => this.#reborn(p.view.pid).stopBy(p.frozen.signal)));
    await this.#parts('early');
    const { hands, objectFds } = this.context;
    await together([
      ...this.image.shares.map((s) => kindNamed(domainKinds, s.kind).finish?.(this.context, s.data)),
      ...this.image.objects.map((o) => this.#transfer.settle(hands, objectFds.get(o.key) ?? -1, o)),
    ]);
    await together([...this.image.processes.map((p) => this.#reborn(p.view.pid).finishMemory(p)), this.#parts('late')]);
    await together([
      ...this.image.processes.map((p) => this.#reborn(p.view.pid).descriptors.closeSpares()),
      this.#parts('last'),
    ]);
    await this.#parts('end');
    await together([
      this.anchor.becomeReaper(),
      ...this.image.processes.map((p) => this.#reborn(p.view.pid).becomeOriginal(p)),
    ]);
    // Let go by the tracer, but held by the freezer: one write then lets all go on together.
    const tids = [
      this.anchor.pid,
      ...[...this.processes.values()].flatMap((p) => [...p.threads.values()].map((t) => t.tid)),
    ];
    for (const result of await letGoHeld(this.anchor.cgroup, tids)) check(result, 'letting a thread go');
  }

  /** All parts at the same time: what a process is asked to do it does in the order of its parts. */
  async #parts(stage: Stage): Promise<void> {
    await together(
      this.image.processes.flatMap((p) =>
        p.parts
          .filter((part) => part.stage === stage)
          .map((part) => kindNamed(processKinds, part.kind).restore(this.#reborn(p.view.pid), part.data)),
      ),
    );
  }

  /** Makes the restoration visible outside, where a gate holds what it says until it goes on. Nothing of it runs yet. */
  async activate(): Promise<void> {
    await together(this.image.shares.map((s) => kindNamed(domainKinds, s.kind).activate?.(this.context, s.data)));
    await together(
      this.image.files.map((f) => {
        const fd = this.context.fileFds.get(f.id);
        return fd === undefined ? undefined : kindNamed(fileKinds, f.kind).activate?.(this.context, fd, f);
      }),
    );
    await shorten(
      this.anchor,
      this.image.processes.flatMap((p) => this.#reborn(p.view.pid).waiters(p)),
    );
  }

  /**
   * All go on, with one write: the domain lives here from now on. Throws; then surely none of it has run. Answers why it
   * is not known, where the destination took the write up and did not say that it was done.
   */
  async resume(): Promise<HandsError | undefined> {
    try {
      await this.anchor.cgroup.thaw();
      return undefined;
    } catch (e) {
      if (!(e instanceof HandsError) || !e.begun) throw e;
      return e;
    }
  }

  /** After the domain goes on: lets go of what the hands still hold. */
  async letGo(): Promise<void> {
    await this.#closeHeld();
    await this.#closeObjects();
    await this.context.flipped.close();
  }
}

/** Whether a process has its descriptors from another, and in common with it. */
const hasOthersFiles = ({ pid, tables }: ProcessView): boolean => tables.files !== pid;

/** What a process can inherit of its memory: with several mount namespaces a name does not mean the same file to everybody. */
function layoutOf({ view: { pid }, vmas }: Outline, context: RestoreContext): Layout {
  const known = new KnownMappings(context.advice.get(pid) ?? []);
  const some = ownSpaces(context) === undefined ? vmas : vmas.filter((v) => v.backing.kind !== 'file');
  return { pid, vmas: some.map((v) => asMade(known, v)) };
}

/** CLONE_* flags for what a process shares with its parent. */
function sharedAtBirth({ pid, tables }: ProcessView): number {
  return (tables.files === pid ? 0 : CLONE.FILES) | (tables.fs === pid ? 0 : CLONE.FS);
}

/** Files such that what a file needs comes before it. */
function inOrder(files: readonly SavedFile[]): SavedFile[] {
  const out: SavedFile[] = [];
  const done = new Set<string>();
  let waiting = [...files];
  while (waiting.length > 0) {
    const ready = waiting.filter((f) => f.after.every((id) => done.has(id)));
    if (ready.length === 0)
      throw new DomainError('unsupported', 'open files that need each other in a circle', {
        resource: 'a circle of epoll sets',
      });
    for (const f of ready) done.add(f.id);
    out.push(...ready);
    waiting = waiting.filter((f) => !done.has(f.id));
  }
  return out;
}
