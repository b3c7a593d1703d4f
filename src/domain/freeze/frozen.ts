import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { ecallIn, ecallOf, type Anchor } from '../tree/anchor.js';
import { closeEnds } from '../tree/host-ends.js';
import { DomainError } from '../errors.js';
import { PTRACE } from '../linux/flags.js';
import type { HeldFiles } from '../linux/held-files.js';
import { check, readDirs, readText } from '../linux/os.js';
import { parseMaps } from '../proc/maps.js';
import type { FrameMover } from '../memory/mover.js';
import type { Foresight, Outline } from '../checkpoint/outline.js';
import { together } from '../together.js';
import { AREA_SIZE } from '../trace/runner.js';
import { plantRunner, roomForRunner } from '../trace/running.js';
import { stopSignal } from '../trace/stop-signal.js';
import type { Status } from '../proc/status.js';
import type { FrozenProcess, FrozenThread } from './frozen-thread.js';
import { standsEcall, uninterrupted, type Interrupted } from './restart.js';
import { isStopPending, takeStop } from './pending-stop.js';
import { letGoAll, letGoHeld, seizeAll, type Seizable } from './seize.js';
import { isStoppable, ownThreads, refuseUnstoppable, statusesOf, type Owned } from './stoppable.js';
import { Undo } from '../undo.js';
import type { Look } from './wait.js';
import { rememberDisturbed, resumed, shorten, waitsOf } from './waits.js';

/** Half of a checkpoint is in them: should the hands end, they must not go on. */
const FROZEN_OPTIONS = PTRACE.O_TRACESYSGOOD | PTRACE.O_EXITKILL | PTRACE.O_SUSPEND_SECCOMP;

/** Threads of processes, each process's first thread before its others. Ids in the hands' namespace. */
async function threadsOf(hands: Hands, pids: readonly number[], held?: HeldFiles): Promise<number[][]> {
  const tasks = await readDirs(
    hands,
    pids.map((p) => `/proc/${p}/task`),
    held,
  );
  return pids.map((p, i) => {
    const tids = (tasks[i] ?? []).map(Number).sort((a, b) => a - b);
    return [p, ...tids.filter((t) => t !== p)];
  });
}

const owned = (pids: readonly number[], threads: readonly (readonly number[])[]): Owned[] =>
  threads.flatMap((tids, i) => tids.map((tid) => ({ hostPid: pids[i] ?? 0, tid })));

const pendingOf = (s: Status | undefined): bigint => (s === undefined ? 0n : s.pending.thread | s.pending.process);

/** Milliseconds after which it is given up to stop a domain: it would serve nobody meanwhile. And for each thread. */
const PATIENCE = 100;
const PATIENCE_EACH = 2;
/** Attempts to let threads go: while all stand still, and when the domain runs again. */
const RELEASES = 20;
const LATE_RELEASES = 200;

/** Stops threads; `seized` takes the ids of all that may be traced from now on. */
async function stopAll(
  hands: Hands,
  all: readonly (Owned & Seizable & { readonly pending: bigint })[],
  seized: number[],
  patience: number,
): Promise<Interrupted[]> {
  seized.push(...all.map(({ tid }) => tid));
  const seen = await seizeAll(hands, all, FROZEN_OPTIONS, patience);
  return seen.map((thread, i) => ({ hostPid: all[i]?.hostPid ?? 0, thread, pending: all[i]?.pending ?? 0n }));
}

/** What came of stopping a domain before it failed. */
interface Attempt {
  /** Threads that may be traced. */
  readonly seized: number[];
  stopped: Interrupted[];
}

/** Lets a domain that could not be stopped go on as before. Throws `undo-failed`. */
async function giveUp({ hands, cgroup }: Anchor, attempt: Attempt, patience: number, reason: unknown): Promise<void> {
  try {
    // The freezer holds them: those that can be stopped are, so that they can be told how to go on.
    if (attempt.seized.length === 0) {
      const pids = await cgroup.processes();
      const all = owned(pids, await threadsOf(hands, pids));
      const able = (await ownThreads(hands, all)).flatMap(({ hostPid, tid, status }) =>
        status !== undefined && isStoppable(status)
          ? [{ hostPid, tid, stopped: status.state === 'T', pending: pendingOf(status) }]
          : [],
      );
      attempt.stopped = await stopAll(hands, able, attempt.seized, patience);
    }
    const goOn = await uninterrupted(attempt.stopped);
    await together(
      attempt.stopped.map(({ thread }, i) => thread.tracee.setRegisters(goOn[i] ?? thread.regs, thread.fp)),
    );
  } catch {
    // Then calls that wait answer EINTR, as Linux lets them do after any stop.
  }
  const left = await letGoAll(hands, attempt.seized, RELEASES);
  await cgroup.thaw();
  await letGoLate(hands, left, `: ${String(reason)}`, { cause: reason });
}

/** Lets go of whoever could not stop while all stood still: it may come to it now. Throws `undo-failed`. */
async function letGoLate(
  hands: Hands,
  tids: readonly number[],
  why = '',
  detail: { cause?: unknown } = {},
): Promise<void> {
  const left = await letGoAll(hands, tids, LATE_RELEASES);
  // A child of the hands that was never seized looks, to them, like one that does not come to its stop.
  const statuses = await statusesOf(
    hands,
    left.map((tid) => ({ hostPid: tid, tid })),
  );
  const kept = left.filter((_, i) => statuses[i]?.tracer !== 0);
  if (kept.length > 0)
    throw new DomainError('undo-failed', `threads ${kept.join(', ')} are still traced${why}`, detail);
}

/**
 * A domain that stands still, every thread of it stopped under the hands' ptrace. Nothing of it runs until
 * {@link resume} or {@link kill}.
 */
export class FrozenDomain {
  constructor(
    readonly anchor: Anchor,
    readonly anchorThread: FrozenThread,
    readonly processes: readonly FrozenProcess[],
    /** What checkpointing changed in the processes, to be put back before they go on. */
    readonly undo: Undo,
  ) {}

  get hands(): Hands {
    return this.anchor.hands;
  }

  /**
   * Stops a running domain, in a tenth of a second, or in proportion to its threads. `look`: what was seen of its sleeping threads just before.
   * Throws; then it runs as before. What cannot be stopped is refused by name, `passing` where it may be over soon.
   */
  static async freeze(anchor: Anchor, held: HeldFiles, look: Look): Promise<FrozenDomain> {
    const { hands, cgroup } = anchor;
    const undo = new Undo();
    const attempt: Attempt = { seized: [], stopped: [] };
    const patience = PATIENCE + PATIENCE_EACH * look.threads;
    try {
      const pids = (await cgroup.freeze(patience)).sort((a, b) => a - b);
      const threadIds = await threadsOf(hands, pids, held);
      const all = await refuseUnstoppable(hands, owned(pids, threadIds), held);
      const seizable = all.map(({ hostPid, tid, status }) => ({
        ...{ hostPid, tid },
        stopped: status.state === 'T',
        pending: pendingOf(status),
      }));
      const stopped = await stopAll(hands, seizable, attempt.seized, patience);
      attempt.stopped = stopped;
      const [goOn, waits] = await together([
        uninterrupted(stopped),
        waitsOf(
          anchor,
          stopped.map(({ hostPid, thread }) => ({ ...thread, hostPid })),
          look,
        ),
      ]);
      const threads = stopped.map(({ thread: t }, i): FrozenThread => {
        const wait = waits[i];
        return { ...t, regs: goOn[i] ?? t.regs, ...(wait !== undefined && { wait }) };
      });
      // Every thread is stopped by ptrace now; the freezer would keep it from making the calls it is told.
      await cgroup.lift();
      const byTid = new Map(threads.map((t, i) => [t.tracee.tid, { thread: t, pending: stopped[i]?.pending ?? 0n }]));
      const makeProcess = async (hostPid: number, i: number): Promise<FrozenProcess> => {
        const own = (threadIds[i] ?? []).map((tid) => byTid.get(tid)).filter((t) => t !== undefined);
        const seen = own.map((t) => t.thread);
        const taker = own.find((t) => isStopPending(t.pending))?.thread;
        const of = taker === undefined ? seen : await takeStop(seen, taker);
        const leader = of[0];
        if (leader === undefined) throw new DomainError('lost', `process ${hostPid} has no threads`);
        const pending = own.reduce((all, t) => all | t.pending, 0n);
        return { hostPid, leader, threads: of, signal: stopSignal(pending, `process ${hostPid}`) };
      };
      const processes = await together(pids.map(makeProcess));
      const anchorProcess = processes.find((p) => p.hostPid === anchor.pid);
      if (anchorProcess === undefined) throw new DomainError('lost', 'the first process of the domain is gone');
      return new FrozenDomain(
        anchor,
        anchorProcess.leader,
        processes.filter((p) => p !== anchorProcess),
        undo,
      );
    } catch (e) {
      rememberDisturbed(anchor, look);
      await giveUp(anchor, attempt, patience, e);
      throw e;
    }
  }

  /** Places runners into every process, so that it can be asked what only it can tell. */
  async plantRunners(mover: FrameMover, foresight: Foresight): Promise<void> {
    const known = new Map(foresight.known.map((o) => [o.view.hostPid, o]));
    await together(this.processes.map((p) => this.#plant(mover, p, foresight, known.get(p.hostPid))));
  }

  async #plant(mover: FrameMover, p: FrozenProcess, foresight: Foresight, known?: Outline): Promise<void> {
    const { tracee } = p.leader;
    const seen = known === undefined ? -1 : known.vdso.vdso.start + ecallIn(known.vdso.image);
    const [stands] = await together([
      seen < 0 ? false : standsEcall(tracee, seen),
      ...p.threads.map((t) => t.tracee.blockSignals(p.signal)),
    ]);
    // As it was while it ran, unless it executes another program now: a list of mappings can be long.
    const asSeen = stands ? known : undefined;
    const vmas =
      asSeen?.view.vmas ?? parseMaps((await readText(this.hands, `/proc/${p.hostPid}/maps`, foresight.held)) ?? '');
    const ecall = asSeen === undefined ? await ecallOf(tracee, vmas) : seen;
    const area = roomForRunner(vmas);
    this.undo.add('taking the runner out', async () => {
      if (tracee.runner !== undefined)
        check(await tracee.inject(ecall, SYS.munmap, area, AREA_SIZE), 'unmapping the runner');
    });
    p.space = await mover.space(tracee, (nonce) => plantRunner(tracee, ecall, area, nonce, p.signal));
    for (const t of p.threads) if (tracee.runner !== undefined) t.tracee.runner = tracee.runner;
  }

  /** Puts everything back and lets the domain go on where it was. Throws `undo-failed`. */
  async resume(): Promise<void> {
    await this.undo.run();
    const all = [this.anchorThread, ...this.processes.flatMap((p) => p.threads)];
    await together(
      all.flatMap((t) => [t.tracee.setRegisters(resumed(this.anchor, t), t.fp), t.tracee.setSignalMask(t.mask)]),
    );
    const tids = all.map((t) => t.tracee.tid);
    const results = await letGoHeld(this.anchor.cgroup, tids);
    const left = await letGoAll(
      this.hands,
      tids.filter((_, i) => results[i] !== 0),
      RELEASES,
    );
    await shorten(this.anchor, all);
    await this.anchor.cgroup.thaw();
    await letGoLate(this.hands, left);
  }

  #netnsOpen = true;

  /** Ends the domain here: it lives elsewhere now. Can be repeated when it fails. */
  async kill(): Promise<void> {
    await this.anchor.cgroup.kill();
    await this.anchor.cgroup.remove();
    if (this.#netnsOpen) await this.hands.syscall(SYS.close, this.anchor.netns);
    this.#netnsOpen = false;
    await closeEnds(this.anchor);
  }
}
