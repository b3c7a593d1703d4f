import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { Anchor, findEcall } from './anchor.js';
import { DomainError } from './errors.js';
import { NT_PRFPREG, NT_PRSTATUS, PTRACE, WNOHANG, __WALL, SIG } from './linux/flags.js';
import { check, readDirs, readText } from './linux/os.js';
import { findHole, parseMaps } from './proc/maps.js';
import { AREA_SIZE } from './trace/runner.js';
import { FP_SIZE, parseStatus, Tracee, type Registers } from './trace/tracee.js';
import { uninterrupted } from './restart.js';
import { Undo } from './undo.js';

/** A thread of the domain at the moment it was stopped. */
export interface FrozenThread {
  readonly tracee: Tracee;
  readonly regs: Registers;
  readonly fp: Uint8Array;
  readonly mask: bigint;
}

export interface FrozenProcess {
  readonly hostPid: number;
  readonly leader: FrozenThread;
  readonly threads: readonly FrozenThread[];
}

/** Seizes many threads at once and waits until each has stopped. */
export async function seizeAll(hands: Hands, tids: readonly number[], options: number): Promise<Tracee[]> {
  const b = hands.batch();
  const refs = tids.map((tid) => {
    const seized = b.call(SYS.ptrace, PTRACE.SEIZE, tid, 0, options);
    b.call(SYS.ptrace, PTRACE.INTERRUPT, tid, 0, 0);
    return seized;
  });
  const r = await b.run();
  refs.forEach((ref, i) => check(r.value(ref), `tracing thread ${tids[i] ?? 0}`));
  await awaitStops(hands, tids);
  return tids.map((tid) => new Tracee(hands, tid));
}

/** Waits until every one of the threads has stopped. Throws `lost` if one ends instead, or does not stop. */
export async function awaitStops(hands: Hands, tids: readonly number[]): Promise<void> {
  let waiting = [...tids];
  for (let turn = 0; turn < 200; turn++) {
    const b = hands.batch();
    if (turn > 0) {
      const set = b.bytes(new Uint8Array(new BigUint64Array([1n << BigInt(SIG.CHLD - 1)]).buffer));
      b.call(SYS.rt_sigtimedwait, set, 0, b.bytes(new Uint8Array(new BigInt64Array([0n, 100_000_000n]).buffer)), 8);
    }
    const looks = waiting.map((tid) => {
      const status = b.out(8);
      return { tid, status, got: b.call(SYS.wait4, tid, status, WNOHANG | __WALL, 0) };
    });
    const r = await b.run();
    waiting = [];
    for (const { tid, status, got } of looks) {
      if (check(r.value(got), `waiting for thread ${tid}`) === 0) waiting.push(tid);
      else if (parseStatus(r.view(status).getInt32(0, true)).kind !== 'stopped')
        throw new DomainError('lost', `thread ${tid} ended`);
    }
    if (waiting.length === 0) return;
  }
  throw new DomainError('lost', `threads ${waiting.join(', ')} do not stop`);
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
   * Stops a running domain. Throws; then it runs as before.
   */
  static async freeze(anchor: Anchor): Promise<FrozenDomain> {
    const { hands, cgroup } = anchor;
    const undo = new Undo();
    const detach: number[] = [];
    try {
      await cgroup.freeze();
      const pids = (await cgroup.processes()).sort((a, b) => a - b);
      const tasks = await readDirs(
        hands,
        pids.map((p) => `/proc/${p}/task`),
      );
      const threadsOf = pids.map((p, i) => {
        const tids = (tasks[i] ?? []).map(Number).sort((a, b) => a - b);
        return [p, ...tids.filter((t) => t !== p)];
      });
      const all = threadsOf.flat();
      detach.push(...all);
      const tracees = await seizeAll(hands, all, PTRACE.O_TRACESYSGOOD);
      const seen = await readThreads(tracees);
      const owners = threadsOf.flatMap((tids, i) => tids.map(() => pids[i] ?? 0));
      const goOn = await uninterrupted(seen.map((thread, i) => ({ hostPid: owners[i] ?? 0, thread })));
      const threads = seen.map((t, i): FrozenThread => ({ ...t, regs: goOn[i] ?? t.regs }));
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
  async plantRunners(): Promise<void> {
    for (const p of this.processes) {
      const tracee = p.leader.tracee;
      const ecall = await findEcall(tracee);
      const vmas = parseMaps((await readText(this.hands, `/proc/${p.hostPid}/maps`)) ?? '');
      const area = findHole(vmas, AREA_SIZE, 0x8_0000_0000);
      if (area < 0)
        throw new DomainError('unsupported', 'no free address range for the runner', {
          resource: 'the whole address space',
        });
      for (const t of p.threads) await t.tracee.blockSignals();
      await tracee.plantRunner(ecall, area);
      for (const t of p.threads) t.tracee.area = area;
      this.undo.add('taking the runner out', async () => {
        check(await tracee.inject(ecall, SYS.munmap, area, AREA_SIZE), 'unmapping the runner');
      });
    }
  }

  /** Puts everything back and lets the domain go on where it was. */
  async resume(): Promise<void> {
    const { hands } = this;
    await this.undo.run();
    const all = [this.anchorThread, ...this.processes.flatMap((p) => p.threads)];
    for (const t of all) {
      await t.tracee.setRegisters(t.regs, t.fp);
      await t.tracee.setSignalMask(t.mask);
    }
    await this.anchor.cgroup.holdStill();
    const b = hands.batch();
    for (const t of all) b.call(SYS.ptrace, PTRACE.DETACH, t.tracee.tid, 0, 0);
    await b.run();
    await this.anchor.cgroup.thaw();
  }

  /** Ends the domain here: it lives elsewhere now. */
  async kill(): Promise<void> {
    await this.anchor.cgroup.kill();
    await this.hands.syscall(SYS.close, this.anchor.netns);
    await this.anchor.cgroup.remove();
  }
}

/** Registers and masks of many stopped threads, in one batch per hundred. */
async function readThreads(tracees: readonly Tracee[]): Promise<FrozenThread[]> {
  const out: FrozenThread[] = [];
  for (let start = 0; start < tracees.length; start += 100) {
    const part = tracees.slice(start, start + 100);
    const hands = part[0]?.hands;
    if (hands === undefined) break;
    const b = hands.batch();
    const reads = part.map((tracee) => {
      const regs = b.out(256);
      const fp = b.out(FP_SIZE);
      const mask = b.out(8);
      const ok = b.call(SYS.ptrace, PTRACE.GETREGSET, tracee.tid, NT_PRSTATUS, b.iovec(regs));
      b.call(SYS.ptrace, PTRACE.GETREGSET, tracee.tid, NT_PRFPREG, b.iovec(fp));
      b.call(SYS.ptrace, PTRACE.GETSIGMASK, tracee.tid, 8, mask);
      return { tracee, regs, fp, mask, ok };
    });
    const r = await b.run();
    for (const { tracee, regs, fp, mask, ok } of reads) {
      check(r.value(ok), `reading registers of thread ${tracee.tid}`);
      out.push({
        tracee,
        regs: new BigUint64Array(r.bytes(regs).buffer, 0, 32),
        fp: r.bytes(fp),
        mask: r.view(mask).getBigUint64(0, true),
      });
    }
  }
  return out;
}
