import { ECALL } from '../../guest/hands/code.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { Anchor } from '../tree/anchor.js';
import { CLOCK, PTRACE } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { check, readDirs, readText, readTexts } from '../linux/os.js';
import { together } from '../together.js';
import { PC, REG, type Registers, type Tracee } from '../trace/tracee.js';
import type { Asleep, Disturbed, Look, Restarted, Wait } from './wait.js';

/**
 * Waits for a length of time. Linux keeps the end of such a wait where nobody can read it (the thread's
 * `restart_block`), and begins it anew if it is made again from its registers. So its end is reckoned here:
 *
 *     begun  ──────── look ─────── freeze ═══ nowhere ═══ begun again ──────── end
 *            how long the thread has slept,                what is left of it
 *            while the domain still runs
 */

/** `li a7, 0`; the number of the call is in the upper twelve bits. */
const LI_A7 = 0x0000_0893;
/** So many bytes before its `ecall` a program has loaded the number of the call: compilers put moves of arguments between. */
const CODE_BEFORE = 32;
const FUTEX_COMMAND = 0x7f;
const TIMER_ABSTIME = 1;
const SECOND = 1_000_000_000n;

interface Rule {
  /** Register with the address of the `struct timespec`. */
  readonly time: number;
  /** Whether the time is a length, and the kernel begins the call again itself. */
  readonly applies: (regs: Registers) => boolean;
  /** The kernel writes back what is left whenever it is disturbed, and the call is made again with that. */
  readonly writesBack: boolean;
}

const always = (): boolean => true;
const RULES = new Map<number, Rule>([
  [SYS.nanosleep, { time: REG.a0, applies: always, writesBack: false }],
  [SYS.clock_nanosleep, { time: REG.a2, applies: (r) => (Number(r[REG.a1]) & TIMER_ABSTIME) === 0, writesBack: false }],
  // FUTEX_WAIT is 0; FUTEX_WAIT_BITSET waits for a point in time.
  [SYS.futex, { time: REG.a3, applies: (r) => (Number(r[REG.a1]) & FUTEX_COMMAND) === 0, writesBack: false }],
  [SYS.ppoll, { time: REG.a2, applies: always, writesBack: true }],
  [SYS.pselect6, { time: REG.a4, applies: always, writesBack: true }],
]);

/** Looks how long threads of a running domain have been asleep. */
export async function lookAtSleepers(anchor: Anchor): Promise<Look> {
  const { hands } = anchor;
  const pids = await anchor.cgroup.processes();
  const tasks = await readDirs(
    hands,
    pids.map((p) => `/proc/${p}/task`),
  );
  const threads = pids.flatMap((p, i) =>
    (tasks[i] ?? []).map((tid) => ({ tid: Number(tid), at: `/proc/${p}/task/${tid}` })),
  );
  const calls = await readTexts(
    hands,
    threads.map((t) => `${t.at}/syscall`),
    1,
  );
  const sleepers = threads.flatMap((t, i) => {
    const call = (calls[i] ?? '').trim();
    const nr = Number(call.split(' ')[0]);
    const rule = RULES.get(nr);
    const time = Number(call.split(' ')[1 + (rule?.time ?? 0) - REG.a0]);
    return rule === undefined || time === 0 ? [] : [{ ...t, call, time }];
  });
  if (sleepers.length === 0) return { at: await monotonic(hands), asleep: new Map(), threads: threads.length };
  const [lengths, texts, [now, own]] = await together([
    askAll(hands, sleepers, 1, (b, { tid, time }) => {
      const length = b.out(16);
      const n = b.call(SYS.process_vm_readv, tid, b.iovec(length), 1, b.iovec([time, 16]), 1, 0);
      return (r) => (r.value(n) === 16 ? fromTimespec(r.view(length)) : undefined);
    }),
    readTexts(
      hands,
      sleepers.map((t) => `${t.at}/sched`),
      2,
    ),
    // The hands ran just now: theirs is the scheduler's clock as it stands.
    together([monotonic(hands), readText(hands, '/proc/self/sched')]),
  ]);
  const ran = lastRan(own);
  const out = new Map<number, Asleep>();
  sleepers.forEach(({ tid, call }, i) => {
    const began = lastRan(texts[i]);
    const switches = /^nr_voluntary_switches +: +(\d+)$/m.exec(texts[i] ?? '')?.[1];
    const length = lengths[i];
    if (ran === undefined || began === undefined || switches === undefined || length === undefined) return;
    const since = now - (ran > began ? ran - began : 0n);
    out.set(tid, { call, since, switches: Number(switches), length });
  });
  return { at: now, asleep: out, threads: threads.length };
}

/** When a thread last ran, in nanoseconds of the scheduler's clock (`/proc/PID/sched`, in milliseconds). */
function lastRan(sched: string | undefined): bigint | undefined {
  const m = /^se\.exec_start +: +(\d+)\.(\d{6})$/m.exec(sched ?? '');
  return m === null ? undefined : BigInt(`${m[1] ?? ''}${m[2] ?? ''}`);
}

async function monotonic(hands: Hands): Promise<bigint> {
  const b = hands.batch();
  const out = b.out(16);
  const n = b.call(SYS.clock_gettime, CLOCK.MONOTONIC, out);
  const r = await b.run();
  check(r.value(n), 'reading the clock');
  return fromTimespec(r.view(out));
}

function fromTimespec(view: DataView): bigint {
  return view.getBigInt64(0, true) * SECOND + view.getBigInt64(8, true);
}

function toTimespec(time: bigint): Uint8Array {
  const left = time > 0n ? time : 0n;
  return new Uint8Array(new BigInt64Array([left / SECOND, left % SECOND]).buffer);
}

/** A stopped thread, by its id in the hands' namespace. */
export interface Stopped {
  readonly hostPid: number;
  readonly tracee: Tracee;
  readonly regs: Registers;
  /** Of a stopped job. What it waits for it was disturbed in, long before the freeze. */
  readonly stoppedBy?: number;
}

/**
 * The waits that stopped threads were in, in their order. What was asleep at the look, and has not been awake since
 * but to be stopped, has waited all the time; what went to sleep later begins at the freeze, a moment late.
 */
export async function waitsOf(
  anchor: Anchor,
  threads: readonly Stopped[],
  { at, asleep }: Look,
): Promise<(Wait | undefined)[]> {
  const { hands } = anchor;
  const unknown = await inferCalls(anchor, threads, at);
  const suspects = threads.flatMap((thread) => {
    const { regs, tracee } = thread;
    const pc = regs[PC] ?? 0n;
    const earlier = isRestart(regs) ? restartedOf(anchor, thread, at) : undefined;
    const disturbed = isRestart(regs) && earlier === undefined ? disturbedOf(anchor, thread) : undefined;
    const nr = earlier?.nr ?? disturbed?.nr ?? unknown.get(tracee.tid) ?? Number(regs[REG.a7]);
    const rule = RULES.get(nr);
    const time = rule === undefined ? 0n : (regs[rule.time] ?? 0n);
    return rule === undefined || time === 0n || !rule.applies(regs)
      ? []
      : [{ thread, nr, rule, pc, time, earlier, disturbed: disturbed?.was }];
  });
  if (suspects.length === 0) return threads.map(() => undefined);
  const [now, reads, statuses] = await together([
    monotonic(hands),
    askAll(hands, suspects, 2, (b, { thread: { tracee }, pc, time }) => {
      const code = b.out(4);
      const length = b.out(16);
      const remote = (address: bigint, size: number) => b.iovec([Number(address), size]);
      b.call(SYS.process_vm_readv, tracee.tid, b.iovec(code), 1, remote(pc, 4), 1, 0);
      const n = b.call(SYS.process_vm_readv, tracee.tid, b.iovec(length), 1, remote(time, 16), 1, 0);
      return (r) => ({
        atCall: r.view(code).getUint32(0, true) === ECALL,
        length: r.value(n) === 16 ? fromTimespec(r.view(length)) : undefined,
      });
    }),
    readTexts(
      hands,
      suspects.map(({ thread: { hostPid, tracee } }) => `/proc/${hostPid}/task/${tracee.tid}/status`),
      1,
    ),
  ]);
  const { monotonic: offset } = anchor.clocks;
  const found = new Map<Stopped, Wait>();
  suspects.forEach(({ thread, nr, rule, earlier, disturbed }, i) => {
    const read = reads[i];
    if (!read?.atCall) return;
    const { regs, tracee } = thread;
    if (earlier !== undefined) {
      found.set(thread, { ...earlier, known: true });
      return;
    }
    const { length } = read;
    if (length === undefined) return;
    const look = disturbed ?? asleep.get(tracee.tid);
    const stops = SWITCHES_TO_STOP * (1 + (disturbed?.times ?? 0));
    const switches = /^voluntary_ctxt_switches:\t(\d+)$/m.exec(statuses[i] ?? '')?.[1];
    // What was to be over when the domain still ran is over: this is another wait, by the same call.
    const over = disturbed !== undefined && disturbed.since + disturbed.length < at;
    const stayed =
      look !== undefined &&
      !over &&
      Number(switches) <= look.switches + stops &&
      look.call === describeCall(regs, nr, thread.stoppedBy === undefined ? 4n : 0n);
    const end = stayed ? look.since + look.length : now + length;
    found.set(thread, { nr, end: end + offset, known: stayed && !rule.writesBack });
  });
  return threads.map((t) => found.get(t));
}

/** How often a thread that sleeps goes to sleep anew until it is stopped: in the freezer, and for the tracer. */
const SWITCHES_TO_STOP = 2;

/** As `/proc/PID/task/TID/syscall` shows call `nr` that is going on at an `ecall`; `past` it, but where a job was stopped in it. */
function describeCall(regs: Registers, nr: number, past = 4n): string {
  const a = [0, 1, 2, 3, 4, 5].map((i) => `0x${(regs[REG.a0 + i] ?? 0n).toString(16)}`);
  const next = (regs[PC] ?? 0n) + past;
  return [String(nr), ...a, `0x${(regs[REG.sp] ?? 0n).toString(16)}`, `0x${next.toString(16)}`].join(' ');
}

const isRestart = (regs: Registers): boolean => Number(regs[REG.a7]) === SYS.restart_syscall;

/** The wait that a move has begun again, if a thread is in it still: not if it was to be over when the domain still ran. */
function restartedOf(anchor: Anchor, { tracee, regs }: Stopped, at: bigint): Restarted | undefined {
  const earlier = anchor.restarted.get(tracee.tid);
  const is = earlier?.pc === regs[PC] && earlier?.sp === regs[REG.sp];
  return is && earlier.end >= at + anchor.clocks.monotonic ? earlier : undefined;
}

/** The wait that a failed freeze has disturbed, if a thread may be in it still: whether it is, its switches tell. */
function disturbedOf(anchor: Anchor, { tracee, regs }: Stopped): { nr: number; was: Disturbed } | undefined {
  const was = anchor.disturbed.get(tracee.tid);
  const nr = Number(was?.call.split(' ')[0]);
  return was !== undefined && was.call === describeCall(regs, nr) ? { nr, was } : undefined;
}

/** To be called when a freeze has failed: its domain's sleepers go on by `restart_syscall`, which does not tell what they do. */
export function rememberDisturbed(anchor: Anchor, { asleep }: Look): void {
  for (const [tid, was] of anchor.disturbed) anchor.disturbed.set(tid, { ...was, times: was.times + 1 });
  for (const [tid, look] of asleep) anchor.disturbed.set(tid, { ...look, times: 1 });
}

/**
 * What threads do that go on by `restart_syscall` though no move has disturbed them: a job that was stopped and
 * continued, say. The program itself tells, where it has loaded the number shortly before its `ecall`.
 */
async function inferCalls(anchor: Anchor, threads: readonly Stopped[], at: bigint): Promise<Map<number, number>> {
  const unknown = threads.filter((t) => {
    const { regs } = t;
    return isRestart(regs) && restartedOf(anchor, t, at) === undefined && disturbedOf(anchor, t) === undefined;
  });
  if (unknown.length === 0) return new Map();
  const found = await askAll(anchor.hands, unknown, 1, (b, { tracee, regs }) => {
    const code = b.out(CODE_BEFORE);
    const at = Number(regs[PC] ?? 0n) - CODE_BEFORE;
    const n = b.call(SYS.process_vm_readv, tracee.tid, b.iovec(code), 1, b.iovec([at, CODE_BEFORE]), 1, 0);
    return (r): [number, number][] => {
      const nr = r.value(n) === CODE_BEFORE ? loadedNumber(r.view(code)) : undefined;
      return nr === undefined ? [] : [[tracee.tid, nr]];
    };
  });
  return new Map(found.flat());
}

/** The number that was loaded last into a7 by code that ends with an `ecall`. */
function loadedNumber(code: DataView): number | undefined {
  // Instructions have 2 or 4 bytes: it may stand at any half word.
  for (let at = code.byteLength - 4; at >= 0; at -= 2) {
    const word = code.getUint32(at, true);
    if ((word & 0xf_ffff) === LI_A7) return word >>> 20;
  }
  return undefined;
}

/** A stopped thread, and the wait it is to be in, if any. */
export interface Waiter {
  readonly tracee: Tracee;
  readonly regs: Registers;
  readonly wait?: Wait;
}

/**
 * Has threads begin what is left of their waits; answers the registers with which each goes on with it, in their
 * order. `ecall`: where one stands in the process; `scratch`: memory in the process that is free meanwhile, 16 bytes
 * for each thread. Must be the last calls that these threads make.
 */
export async function beginAgain(
  anchor: Anchor,
  waiters: readonly Waiter[],
  ecall: number,
  scratch: number,
): Promise<Registers[]> {
  if (waiters.every((w) => w.wait === undefined)) return waiters.map((w) => w.regs);
  const { hands } = anchor;
  const now = (await monotonic(hands)) + anchor.clocks.monotonic;
  return together(
    waiters.map(async ({ tracee, regs, wait }, i) => {
      const rule = wait === undefined ? undefined : RULES.get(wait.nr);
      if (wait === undefined || rule === undefined || rule.writesBack) return regs;
      const at = scratch + 16 * i;
      await tracee.poke(at, toTimespec(wait.end - now));
      const call = regs.slice();
      call[PC] = BigInt(ecall);
      call[REG.a7] = BigInt(wait.nr);
      call[rule.time] = BigInt(at);
      await tracee.setRegisters(call);
      // Stopped at its entry, then disturbed in the middle of it: the kernel notes when it ends.
      await tracee.resume(PTRACE.SYSCALL);
      await hands.syscall(SYS.ptrace, PTRACE.INTERRUPT, tracee.tid, 0, 0);
      await tracee.resume(PTRACE.CONT);
      const after = await tracee.registers();
      const goOn = regs.slice();
      if (after[PC] !== BigInt(ecall)) {
        // It was over at once.
        goOn[PC] = (regs[PC] ?? 0n) + 4n;
        goOn[REG.a0] = after[REG.a0] ?? 0n;
        return goOn;
      }
      return restarted(anchor, tracee, goOn, wait);
    }),
  );
}

/** As {@link beginAgain}, where the threads have not left their kernel: it knows what is left of their waits. */
export function resumed(anchor: Anchor, { tracee, regs, wait }: Waiter): Registers {
  if (wait?.known === true) return restarted(anchor, tracee, regs, wait);
  // It is in another wait than at the last move, if in one: the end of that would not be the end of this.
  anchor.restarted.delete(tracee.tid);
  return regs;
}

/** Registers with which a thread goes on with a wait that the kernel knows. */
function restarted(anchor: Anchor, tracee: Tracee, regs: Registers, wait: Wait): Registers {
  anchor.restarted.set(tracee.tid, { ...wait, known: true, pc: regs[PC] ?? 0n, sp: regs[REG.sp] ?? 0n });
  const goOn = regs.slice();
  goOn[REG.a7] = BigInt(SYS.restart_syscall);
  return goOn;
}

/**
 * Shortens the times of waits that are made again from their registers by what has passed since they were disturbed.
 * To be done just before the threads go on. As the kernel does, leaves a time as it is where the program may not write.
 */
export async function shorten(anchor: Anchor, waiters: readonly Waiter[]): Promise<void> {
  const { hands } = anchor;
  const again = waiters.flatMap(({ tracee, regs, wait }) => {
    const rule = wait === undefined ? undefined : RULES.get(wait.nr);
    return wait === undefined || rule?.writesBack !== true
      ? []
      : [{ tid: tracee.tid, at: Number(regs[rule.time]), end: wait.end }];
  });
  if (again.length === 0) return;
  const now = (await monotonic(hands)) + anchor.clocks.monotonic;
  await askAll(hands, again, 1, (b, { tid, at, end }) => {
    const left = b.bytes(toTimespec(end - now));
    b.call(SYS.process_vm_writev, tid, b.iovec(left), 1, b.iovec([at, 16]), 1, 0);
    return () => undefined;
  });
}
