import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { ecallOf, type Anchor } from '../tree/anchor.js';
import { DomainError } from '../errors.js';
import { NT_PRFPREG, NT_PRSTATUS, PTRACE, WNOHANG, __WALL, SIG } from '../linux/flags.js';
import type { HeldFiles } from '../linux/held-files.js';
import { check, readDirs, readText } from '../linux/os.js';
import { findHole, parseMaps } from '../proc/maps.js';
import type { FrameMover } from '../memory/mover.js';
import type { Foresight } from '../checkpoint/outline.js';
import { together } from '../together.js';
import { AREA_SIZE } from '../trace/runner.js';
import { plantRunner } from '../trace/running.js';
import { FP_SIZE, parseStatus, Tracee } from '../trace/tracee.js';
import type { FrozenProcess, FrozenThread } from './frozen-thread.js';
import { uninterrupted } from './restart.js';
import { Undo } from '../undo.js';
import type { Asleep } from './wait.js';
import { resumed, shorten, waitsOf } from './waits.js';

/** Threads that fit into one batch, with all that is asked about each. */
const THREADS_AT_ONCE = 100;
/** What a thread needs to come to its stop, in nanoseconds. */
const STOP_TIME = 100_000;

/**
 * Seizes many threads at once, waits until each has stopped, and reads what it was about to do. Throws `lost` if one
 * ends instead, or does not stop.
 */
export async function seizeAll(hands: Hands, tids: readonly number[], options: number): Promise<FrozenThread[]> {
  const parts: Promise<FrozenThread[]>[] = [];
  for (let start = 0; start < tids.length; start += THREADS_AT_ONCE)
    parts.push(seizeSome(hands, tids.slice(start, start + THREADS_AT_ONCE), options));
  return (await together(parts)).flat();
}

async function seizeSome(hands: Hands, tids: readonly number[], options: number): Promise<FrozenThread[]> {
  const seen = new Map<number, FrozenThread>();
  for (let turn = 0; turn < 200; turn++) {
    const waiting = tids.filter((tid) => !seen.has(tid));
    if (waiting.length === 0) return tids.flatMap((tid) => seen.get(tid) ?? []);
    const b = hands.batch();
    const seized = (turn === 0 ? tids : []).map((tid) => {
      const ref = b.call(SYS.ptrace, PTRACE.SEIZE, tid, 0, options);
      b.call(SYS.ptrace, PTRACE.INTERRUPT, tid, 0, 0);
      return { tid, ref };
    });
    // The hands go before others: only while they sleep can many come to their stops.
    if (turn < 10) b.call(SYS.nanosleep, b.bytes(timespec(STOP_TIME * waiting.length)), 0);
    else {
      const set = b.bytes(new Uint8Array(new BigUint64Array([1n << BigInt(SIG.CHLD - 1)]).buffer));
      b.call(SYS.rt_sigtimedwait, set, 0, b.bytes(timespec(100_000_000)), 8);
    }
    const looks = waiting.map((tid) => addLook(b, hands, tid));
    const r = await b.run();
    for (const { tid, ref } of seized) check(r.value(ref), `tracing thread ${tid}`);
    for (const look of looks) {
      const thread = look(r);
      if (thread !== undefined) seen.set(thread.tracee.tid, thread);
    }
  }
  throw new DomainError('lost', `threads ${tids.filter((t) => !seen.has(t)).join(', ')} do not stop`);
}

/** Adds a look at a thread that is to stop. What is answered tells how it stands, or undefined if it has not stopped yet. */
function addLook(b: Batch, hands: Hands, tid: number): (r: BatchResult) => FrozenThread | undefined {
  const status = b.out(8);
  const regs = b.out(256);
  const fp = b.out(FP_SIZE);
  const mask = b.out(8);
  const got = b.call(SYS.wait4, tid, status, WNOHANG | __WALL, 0);
  const refs = [
    b.call(SYS.ptrace, PTRACE.GETREGSET, tid, NT_PRSTATUS, b.iovec(regs)),
    b.call(SYS.ptrace, PTRACE.GETREGSET, tid, NT_PRFPREG, b.iovec(fp)),
    b.call(SYS.ptrace, PTRACE.GETSIGMASK, tid, 8, mask),
  ];
  return (r) => {
    if (check(r.value(got), `waiting for thread ${tid}`) === 0) return undefined;
    if (parseStatus(r.view(status).getInt32(0, true)).kind !== 'stopped')
      throw new DomainError('lost', `thread ${tid} ended`);
    for (const ref of refs) check(r.value(ref), `reading registers of thread ${tid}`);
    return {
      tracee: new Tracee(hands, tid),
      regs: new BigUint64Array(r.bytes(regs).buffer, 0, 32),
      fp: r.bytes(fp),
      mask: r.view(mask).getBigUint64(0, true),
    };
  };
}

/** `struct timespec` of less than a second. */
const timespec = (nanoseconds: number): Uint8Array =>
  new Uint8Array(new BigInt64Array([0n, BigInt(nanoseconds)]).buffer);

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
   * Stops a running domain. `asleep`: what was seen of its sleeping threads just before. Throws; then it runs as before.
   */
  static async freeze(
    anchor: Anchor,
    held?: HeldFiles,
    asleep: ReadonlyMap<number, Asleep> = new Map(),
  ): Promise<FrozenDomain> {
    const { hands, cgroup } = anchor;
    const undo = new Undo();
    const detach: number[] = [];
    try {
      const pids = (await cgroup.freeze()).sort((a, b) => a - b);
      const tasks = await readDirs(
        hands,
        pids.map((p) => `/proc/${p}/task`),
        held,
      );
      const threadsOf = pids.map((p, i) => {
        const tids = (tasks[i] ?? []).map(Number).sort((a, b) => a - b);
        return [p, ...tids.filter((t) => t !== p)];
      });
      const all = threadsOf.flat();
      detach.push(...all);
      const seen = await seizeAll(hands, all, PTRACE.O_TRACESYSGOOD);
      const owners = threadsOf.flatMap((tids, i) => tids.map(() => pids[i] ?? 0));
      const [goOn, waits] = await together([
        uninterrupted(seen.map((thread, i) => ({ hostPid: owners[i] ?? 0, thread }))),
        waitsOf(
          anchor,
          seen.map((thread, i) => ({ ...thread, hostPid: owners[i] ?? 0 })),
          asleep,
        ),
      ]);
      const threads = seen.map((t, i): FrozenThread => {
        const wait = waits[i];
        return { ...t, regs: goOn[i] ?? t.regs, ...(wait !== undefined && { wait }) };
      });
      // Every thread is stopped by ptrace now; the freezer would keep it from making the calls it is told.
      await cgroup.thaw();
      const byTid = new Map(threads.map((t) => [t.tracee.tid, t]));
      const processes = pids.map((hostPid, i): FrozenProcess => {
        const of = (threadsOf[i] ?? []).map((tid) => byTid.get(tid)).filter((t) => t !== undefined);
        const leader = of[0];
        if (leader === undefined) throw new DomainError('lost', `process ${hostPid} has no threads`);
        return { hostPid, leader, threads: of };
      });
      const anchorProcess = processes.find((p) => p.hostPid === anchor.pid);
      if (anchorProcess === undefined) throw new DomainError('lost', 'the first process of the domain is gone');
      return new FrozenDomain(
        anchor,
        anchorProcess.leader,
        processes.filter((p) => p !== anchorProcess),
        undo,
      );
    } catch (e) {
      const b = hands.batch();
      for (const tid of detach) b.call(SYS.ptrace, PTRACE.DETACH, tid, 0, 0);
      await b.run();
      await cgroup.thaw();
      throw e;
    }
  }

  /** Places runners into every process, so that it can be asked what only it can tell. */
  async plantRunners(mover: FrameMover, foresight?: Foresight): Promise<void> {
    await together(this.processes.map((p) => this.#plant(mover, p, foresight)));
  }

  async #plant(mover: FrameMover, p: FrozenProcess, foresight: Foresight | undefined): Promise<void> {
    const known = foresight?.known.find((o) => o.view.hostPid === p.hostPid);
    const { tracee } = p.leader;
    const [maps] = await together([
      readText(this.hands, `/proc/${p.hostPid}/maps`, foresight?.held),
      ...p.threads.map((t) => t.tracee.blockSignals()),
    ]);
    const vmas = parseMaps(maps ?? '');
    const ecall = await ecallOf(tracee, vmas, known?.vdso);
    const area = findHole(vmas, AREA_SIZE, 0x8_0000_0000);
    if (area < 0)
      throw new DomainError('unsupported', 'no free address range for the runner', {
        resource: 'the whole address space',
      });
    this.undo.add('taking the runner out', async () => {
      if (tracee.runner !== undefined)
        check(await tracee.inject(ecall, SYS.munmap, area, AREA_SIZE), 'unmapping the runner');
    });
    p.space = await mover.space(tracee, (nonce) => plantRunner(tracee, ecall, area, nonce));
    for (const t of p.threads) if (tracee.runner !== undefined) t.tracee.runner = tracee.runner;
  }

  /** Puts everything back and lets the domain go on where it was. */
  async resume(): Promise<void> {
    const { hands } = this;
    await this.undo.run();
    const all = [this.anchorThread, ...this.processes.flatMap((p) => p.threads)];
    await together(
      all.flatMap((t) => [t.tracee.setRegisters(resumed(this.anchor, t), t.fp), t.tracee.setSignalMask(t.mask)]),
    );
    const b = hands.batch();
    const held = this.anchor.cgroup.addHoldStill(b);
    for (const t of all) b.call(SYS.ptrace, PTRACE.DETACH, t.tracee.tid, 0, 0);
    await held(await b.run());
    await shorten(this.anchor, all);
    await this.anchor.cgroup.thaw();
  }

  #netnsOpen = true;

  /** Ends the domain here: it lives elsewhere now. Can be repeated when it fails. */
  async kill(): Promise<void> {
    await this.anchor.cgroup.kill();
    await this.anchor.cgroup.remove();
    if (this.#netnsOpen) await this.hands.syscall(SYS.close, this.anchor.netns);
    this.#netnsOpen = false;
  }
}
