/** Threads under ptrace: many taken at once, and let go again whatever became of them meanwhile. */
import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupported, unsupportedNow } from '../errors.js';
import { ECHILD, NT_PRFPREG, NT_PRSTATUS, PTRACE, SIG, WNOHANG, __WALL } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { together } from '../together.js';
import { only } from '../trace/stop-signal.js';
import { FP_SIZE, parseStatus, Tracee } from '../trace/tracee.js';
import type { Cgroup } from '../tree/cgroup.js';
import type { FrozenThread } from './frozen-thread.js';

/** Threads that fit into one batch, with all that is asked about each: seven calls, of the 700 that there may be. */
const THREADS_AT_ONCE = 80;
/** `struct ptrace_sud_config`: mode, selector, offset, length u64. */
const DISPATCH_SIZE = 32;
/** What a thread needs to come to its stop, in nanoseconds. */
const STOP_TIME = 100_000;
const DETACHED_AT_ONCE = 500;
/** Looks at threads that are to stop: many quick ones, then some that wait a hundredth of a second each. */
const QUICK_LOOKS = 10;

/** Who is to be seized. */
export interface Seizable {
  readonly tid: number;
  /** It is a part of a stopped job: it comes to its stop unasked. */
  readonly stopped: boolean;
}

/**
 * Seizes many threads at once, waits until each has stopped, and reads what it was about to do. Throws `changed`
 * (passing) if one ends instead, `unsupported` (passing) if one does not stop within `patience` milliseconds. Threads
 * may be seized then, and have to be let go: {@link letGoAll}.
 */
export async function seizeAll(
  hands: Hands,
  threads: readonly Seizable[],
  options: number,
  patience: number,
): Promise<FrozenThread[]> {
  const end = performance.now() + patience;
  const parts: Promise<FrozenThread[]>[] = [];
  for (let start = 0; start < threads.length; start += THREADS_AT_ONCE)
    parts.push(seizeSome(hands, threads.slice(start, start + THREADS_AT_ONCE), options, end));
  return (await together(parts)).flat();
}

async function seizeSome(
  hands: Hands,
  threads: readonly Seizable[],
  options: number,
  end: number,
): Promise<FrozenThread[]> {
  const tids = threads.map((t) => t.tid);
  const seen = new Map<number, FrozenThread>();
  for (let turn = 0; turn <= QUICK_LOOKS || performance.now() < end; turn++) {
    const waiting = tids.filter((tid) => !seen.has(tid));
    if (waiting.length === 0) return tids.flatMap((tid) => seen.get(tid) ?? []);
    const b = hands.batch();
    const seized = (turn === 0 ? threads : []).map(({ tid, stopped }) => {
      const ref = b.call(SYS.ptrace, PTRACE.SEIZE, tid, 0, options);
      // A second reason to stop would stop it again when it goes on.
      if (!stopped) b.call(SYS.ptrace, PTRACE.INTERRUPT, tid, 0, 0);
      return { tid, ref };
    });
    // The hands go before others: only while they sleep can many come to their stops.
    if (turn < QUICK_LOOKS) b.call(SYS.nanosleep, b.bytes(timespec(STOP_TIME * waiting.length)), 0);
    else {
      const set = b.bytes(only(SIG.CHLD));
      b.call(SYS.rt_sigtimedwait, set, 0, b.bytes(timespec(10_000_000)), 8);
    }
    const looks = waiting.map((tid) => addLook(b, hands, tid));
    const r = await b.run();
    for (const { tid, ref } of seized) {
      // It was there a moment ago: it has ended since, or another has begun to trace it.
      if (r.value(ref) < 0)
        throw new DomainError('changed', `thread ${tid} cannot be traced: errno ${-r.value(ref)}`, { passing: true });
    }
    for (const look of looks) {
      const thread = look(r);
      if (thread !== undefined) seen.set(thread.tracee.tid, thread);
    }
  }
  throw unsupportedNow(
    'a wait that cannot be interrupted',
    `thread ${tids.filter((t) => !seen.has(t)).join(', thread ')}`,
  );
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
  // struct ptrace_sud_config: mode u64 first
  const dispatch = b.out(DISPATCH_SIZE);
  const told = b.call(SYS.ptrace, PTRACE.GET_SYSCALL_USER_DISPATCH_CONFIG, tid, DISPATCH_SIZE, dispatch);
  return (r) => {
    if (check(r.value(got), `waiting for thread ${tid}`) === 0) return undefined;
    const stop = parseStatus(r.view(status).getInt32(0, true));
    if (stop.kind !== 'stopped') throw new DomainError('changed', `thread ${tid} ended`, { passing: true });
    // PTRACE_INTERRUPT stops with SIGTRAP; any other signal is that of a job that stands still already (ptrace(2), group-stop).
    for (const ref of refs) check(r.value(ref), `reading registers of thread ${tid}`);
    // Only a tracer is told. It would be given the calls that its runner makes.
    if (r.value(told) >= 0 && r.view(dispatch).getBigUint64(0, true) !== 0n)
      throw unsupported('system calls that a program has given back to it', `thread ${tid}`);
    return {
      tracee: new Tracee(hands, tid),
      regs: new BigUint64Array(r.bytes(regs).buffer, 0, 32),
      fp: r.bytes(fp),
      mask: r.view(mask).getBigUint64(0, true),
      ...(stop.value !== SIG.TRAP && { stoppedBy: stop.value }),
    };
  };
}

/** `struct timespec` of less than a second. */
const timespec = (nanoseconds: number): Uint8Array =>
  new Uint8Array(new BigInt64Array([0n, BigInt(nanoseconds)]).buffer);

/**
 * Lets go of threads that stand, held by the freezer from then on: one write then lets all go on together. Answers what
 * each detaching came to. Throws `guest` if the freezer does not hold them; then no thread has been let go.
 */
export async function letGoHeld(cgroup: Cgroup, tids: readonly number[]): Promise<number[]> {
  const results: number[] = [];
  for (let start = 0; start < tids.length; start += DETACHED_AT_ONCE) {
    const b = cgroup.hands.batch();
    const held = start === 0 ? cgroup.addHoldStill(b) : undefined;
    const refs = tids.slice(start, start + DETACHED_AT_ONCE).map((tid) => b.call(SYS.ptrace, PTRACE.DETACH, tid, 0, 0));
    const r = await b.run();
    await held?.(r);
    for (const ref of refs) results.push(r.value(ref));
  }
  return results;
}

/**
 * Lets go of threads that may have been seized. One that is on its way to its stop is waited for, as ptrace lets go only
 * of who stands: it would stop later, for ever. Answers those that did not within `turns` times some milliseconds.
 */
export async function letGoAll(hands: Hands, tids: readonly number[], turns: number): Promise<number[]> {
  let left = [...tids];
  for (let turn = 0; left.length > 0 && turn < turns; turn++) {
    const done = new Set<number>();
    for (let start = 0; start < left.length; start += THREADS_AT_ONCE) {
      const b = hands.batch();
      if (turn > 0) b.call(SYS.nanosleep, b.bytes(timespec(5_000_000)), 0);
      const refs = left.slice(start, start + THREADS_AT_ONCE).map((tid) => ({
        tid,
        waited: b.call(SYS.wait4, tid, 0, WNOHANG | __WALL, 0),
        detached: b.call(SYS.ptrace, PTRACE.DETACH, tid, 0, 0),
      }));
      const r = await b.run();
      // Without a child of that name it is nobody's tracee here: it has ended, or was never seized.
      for (const { tid, waited, detached } of refs)
        if (r.value(detached) === 0 || r.value(waited) === -ECHILD) done.add(tid);
    }
    left = left.filter((tid) => !done.has(tid));
  }
  return left;
}
