import type { Batch, BatchResult } from '../../../guest/hands/batch.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import { CLOCK, PR } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import type { Tracee } from '../../trace/tracee.js';
import { together } from '../../together.js';
import { processKind, type CheckpointProcess } from '../kind.js';
import { peekSignals, timerOf } from './pending.js';
import { STOP_SIGNAL } from '../../trace/stop-signal.js';

/** `struct itimerval` and `struct itimerspec`: interval, then value; seconds and fraction, i64 each. */
const ITIMER_SIZE = 32;
const ZERO = new Uint8Array(ITIMER_SIZE);
const isZero = (bytes: Uint8Array): boolean => bytes.every((b) => b === 0);

const SIGEV_THREAD_ID = 4;
const SIGEV_NONE = 1;
const TIMER_ABSTIME = 1;
const SECOND = 1_000_000_000n;
/** Clocks a POSIX timer may count: CLOCK_REALTIME, MONOTONIC, BOOTTIME and their alarms, TAI. */
const CLOCKS = new Set([0, 1, 7, 8, 9, 11]);
/** The processor time of the thread that made the timer, whoever that was. */
const CLOCK_OWN_THREAD = -2;
/** Older kernels count ids up: to get at a high one takes as many timers as it says. */
const HIGHEST_ID = 50_000;
const TIMERS_AT_ONCE = 300;

interface PosixTimer {
  readonly id: number;
  readonly clock: number;
  readonly signal: number;
  readonly value: bigint;
  /** SIGEV_SIGNAL 0, SIGEV_NONE 1, SIGEV_THREAD 2, with SIGEV_THREAD_ID. */
  readonly notify: number;
  /** Thread notified, by its id in the domain. */
  readonly tid: number;
  readonly time: Uint8Array;
  /** Its signal is pending. Then `time` tells when it was sent, by its clock where that is one of real time. */
  readonly sent?: boolean;
}

interface TimerState {
  /** ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF. */
  readonly interval: readonly Uint8Array[];
  readonly posix: readonly PosixTimer[];
}

/**
 * Interval timers and POSIX timers. A checkpoint disarms each while it reads it, so that a timer that
 * expires meanwhile is not both pending and running.
 *
 * No kernel gives a process processor time that it has not used: its clocks of it begin anew with each move, as do
 * `times`, `getrusage` and the limit of it. Timers of it go on with what was left.
 */
export const timers = processKind<TimerState>({
  name: 'timers',
  keeps: 'interval timers; POSIX timers with their ids, also such of processor time, with what is left of it',
  refuses: `a thread's own timer of its processor time beside other threads, a timer that sends SIGSTKFLT or with an id above ${HIGHEST_ID}`,
  stops: true,
  stage: 'late',
  describe(view) {
    for (const t of parseTimers(view.timers)) {
      const where = `process ${view.pid}`;
      // Clocks of processor time have negative ids, with the id of the process or thread in the domain (clock_getcpuclockid(3)).
      if (t.clock >= 0 && !CLOCKS.has(t.clock)) throw unsupported(`a timer of clock ${t.clock}`, where);
      if (t.clock === CLOCK_OWN_THREAD && view.threads.length > 1)
        throw unsupported("a timer of a thread's own processor time", where);
      // It could go off while runners stop by it.
      if (t.signal === STOP_SIGNAL) throw unsupported('a timer that sends SIGSTKFLT', where);
      if (t.id > HIGHEST_ID) throw unsupported(`a timer with an id above ${HIGHEST_ID}`, where);
    }
  },
  async checkpoint(process) {
    const { leader, context, view } = process;
    const found = parseTimers(view.timers);
    const waiting = await onTheirWay(process);
    const b = leader.batch();
    const interval = [0, 1, 2].map((which) => {
      const old = b.out(ITIMER_SIZE);
      return { old, n: b.call(SYS.setitimer, which, b.bytes(ZERO), old) };
    });
    const posix = found.map((t) => {
      const time = b.out(ITIMER_SIZE);
      const now = b.out(16);
      if (waiting.has(t.id) || t.clock >= 0) b.call(SYS.clock_gettime, t.clock, now);
      // Disarmed, newer kernels would forget the signal.
      const n = waiting.has(t.id)
        ? b.call(SYS.timer_gettime, t.id, time)
        : b.call(SYS.timer_settime, t.id, 0, b.bytes(ZERO), time);
      return { t, time, now, n };
    });
    const r = await b.run();
    for (const { n } of interval) check(r.value(n), 'reading an interval timer');
    for (const p of posix) check(r.value(p.n), `reading timer ${p.t.id}`);
    // What expired just before it was disarmed has sent its signal too.
    const sent = await onTheirWay(process);
    const state: TimerState = {
      interval: interval.map(({ old }) => rearmed(r.bytes(old))),
      posix: posix.map(({ t, time, now }) => {
        const left = r.bytes(time);
        const moment = { ...t, tid: domainTid(process, t.tid) };
        return sent.has(t.id)
          ? { ...moment, time: lastExpiry(left, r.view(now)), sent: true }
          : { ...moment, time: left };
      }),
    };
    context.undo.add('arming the timers again', () =>
      arm(leader, { ...state, posix: state.posix.filter((t) => !waiting.has(t.id)) }),
    );
    return state;
  },
  async restore({ leader }, state) {
    await createTimers(leader, state.posix);
    await arm(leader, state);
  },
});

/** `/proc/PID/timers`: four lines each (proc_pid_timers(5)). */
export function parseTimers(text: string): PosixTimer[] {
  const out: PosixTimer[] = [];
  const pattern = /ID: (\d+)\nsignal: (\d+)\/([0-9a-f]+)\nnotify: (\w+)\/(tid|pid)\.(-?\d+)\nClockID: (-?\d+)/g;
  for (const m of text.matchAll(pattern)) {
    const base = { signal: 0, none: 1, thread: 2 }[m[4] ?? ''] ?? 0;
    out.push({
      id: Number(m[1]),
      signal: Number(m[2]),
      value: BigInt(`0x${m[3] ?? '0'}`),
      notify: base | (m[5] === 'tid' ? SIGEV_THREAD_ID : 0),
      tid: Number(m[6]),
      clock: Number(m[7]),
      time: ZERO,
    });
  }
  // The kernel lists the newest first.
  return out.sort((a, b) => a.id - b.id);
}

/**
 * A periodic interval timer stands still from its expiry until its signal is taken, with no time left: the
 * next expiry is then an interval away. Arming it with no time left would stop it for ever.
 */
function rearmed(time: Uint8Array): Uint8Array {
  const expired = isZero(time.subarray(16)) && !isZero(time.subarray(0, 16));
  if (!expired) return time;
  const out = time.slice();
  out.set(time.subarray(0, 16), 16);
  return out;
}

/**
 * When a timer sent the signal that is pending, and its interval: set to that, it sends it again at once, and then
 * counts what is missed until it is taken as it did before. `left`: what was left until its next expiry.
 */
function lastExpiry(left: Uint8Array, now: DataView): Uint8Array {
  const view = new DataView(left.buffer, left.byteOffset);
  const timeAt = (v: DataView, at: number): bigint => v.getBigInt64(at, true) * SECOND + v.getBigInt64(at + 8, true);
  const interval = timeAt(view, 0);
  const at = timeAt(now, 0) + (interval === 0n ? 0n : timeAt(view, 16) - interval);
  const moment = at > 0n ? at : 1n;
  const out = left.slice();
  const times = new DataView(out.buffer);
  times.setBigInt64(16, moment / SECOND, true);
  times.setBigInt64(24, moment % SECOND, true);
  return out;
}

function domainTid({ frozen, view, context }: CheckpointProcess, hostTid: number): number {
  if (hostTid === frozen.hostPid) return view.pid;
  const index = frozen.threads.findIndex((t) => t.tracee.tid === hostTid);
  const tid = context.threadIds.get(hostTid);
  if (index < 0 || tid === undefined)
    throw unsupported('a timer that notifies a thread that has ended', `process ${view.pid}`);
  return tid;
}

/** `struct sigevent`: value u64, signo i32, notify i32, tid i32. */
function sigevent(t: PosixTimer): Uint8Array {
  const event = new Uint8Array(64);
  const view = new DataView(event.buffer);
  view.setBigUint64(0, t.value, true);
  view.setInt32(8, t.signal, true);
  view.setInt32(12, t.notify, true);
  view.setInt32(16, t.tid, true);
  return event;
}

/**
 * Makes timers with the ids they had; they are in the order of those. Since Linux 6.15 an id can be asked for; before,
 * they count up from 0 in each process, and those between are made and thrown away.
 */
async function createTimers(leader: Tracee, timers: readonly PosixTimer[]): Promise<void> {
  if (timers.length === 0) return;
  const asked = (await leader.syscall(SYS.prctl, PR.TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0)) === 0;
  let next = 0;
  let steps: ((b: Batch) => (r: BatchResult) => void)[] = [];
  const flush = async (): Promise<void> => {
    const b = leader.batch();
    const checks = steps.map((step) => step(b));
    steps = [];
    const r = await b.run();
    for (const c of checks) c(r);
  };
  for (const t of timers) {
    for (; !asked && next < t.id; next++) {
      const id = next;
      steps.push((b) => {
        b.call(SYS.timer_create, CLOCK.MONOTONIC, b.bytes(sigevent({ ...t, notify: SIGEV_NONE })), b.out(8));
        b.call(SYS.timer_delete, id);
        return () => undefined;
      });
      if (steps.length === TIMERS_AT_ONCE) await flush();
    }
    next = t.id + 1;
    steps.push((b) => {
      const id = b.inout(new Uint8Array(new Int32Array([t.id, 0]).buffer));
      const made = b.call(SYS.timer_create, t.clock, b.bytes(sigevent(t)), id);
      return (r) => {
        check(r.value(made), `making timer ${t.id}`);
        if (r.view(id).getInt32(0, true) !== t.id) throw new DomainError('guest', `timer ${t.id} cannot have its id`);
      };
    });
    if (steps.length === TIMERS_AT_ONCE) await flush();
  }
  await flush();
  if (asked) await leader.syscall(SYS.prctl, PR.TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0);
}

/** Timers of a process whose signal is on its way: nothing of them runs until it is taken. */
async function onTheirWay({ context, leader, frozen, view }: CheckpointProcess): Promise<Set<number>> {
  if (view.timers === '') return new Set();
  const pending = await together([
    peekSignals(context.hands, leader.tid, 'process', 0n),
    ...frozen.threads.map((t) => peekSignals(context.hands, t.tracee.tid, 'thread', 0n)),
  ]);
  return new Set(pending.flatMap((infos) => infos.flatMap((info) => timerOf(info) ?? [])));
}

async function arm(leader: Tracee, state: TimerState): Promise<void> {
  const b = leader.batch();
  const refs = [
    ...state.interval.flatMap((time, which) => (isZero(time) ? [] : [b.call(SYS.setitimer, which, b.bytes(time), 0)])),
    ...state.posix.flatMap((t) =>
      isZero(t.time)
        ? []
        : [b.call(SYS.timer_settime, t.id, t.sent === true && t.clock >= 0 ? TIMER_ABSTIME : 0, b.bytes(t.time), 0)],
    ),
  ];
  if (refs.length === 0) return;
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), 'arming a timer');
}
