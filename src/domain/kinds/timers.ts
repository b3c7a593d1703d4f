import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../errors.js';
import { PR } from '../linux/flags.js';
import { check } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import { processKind, type CheckpointProcess } from './kind.js';

/** `struct itimerval` and `struct itimerspec`: interval, then value; seconds and fraction, i64 each. */
const ITIMER_SIZE = 32;
const ZERO = new Uint8Array(ITIMER_SIZE);
const isZero = (bytes: Uint8Array): boolean => bytes.every((b) => b === 0);

const SIGEV_THREAD_ID = 4;
/** Clocks a POSIX timer may count: CLOCK_REALTIME, MONOTONIC, BOOTTIME and their alarms, TAI. */
const CLOCKS = new Set([0, 1, 7, 8, 9, 11]);

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
}

interface TimerState {
  /** ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF. */
  readonly interval: readonly Uint8Array[];
  readonly posix: readonly PosixTimer[];
}

/**
 * Interval timers and POSIX timers. A checkpoint disarms each while it reads it, so that a timer that
 * expires meanwhile is not both pending and running.
 */
export const timers = processKind<TimerState>({
  name: 'timers',
  keeps: 'interval timers, POSIX timers with their ids',
  refuses: 'timers that count processor time',
  stops: true,
  stage: 'late',
  describe(view) {
    for (const t of parseTimers(view.timers)) {
      if (!CLOCKS.has(t.clock)) throw unsupported('a timer that counts processor time', `process ${view.pid}`);
    }
  },
  async checkpoint(process) {
    const { leader, context, view } = process;
    const found = parseTimers(view.timers);
    const b = leader.batch();
    const interval = [0, 1, 2].map((which) => {
      const old = b.out(ITIMER_SIZE);
      return { old, n: b.call(SYS.setitimer, which, b.bytes(ZERO), old) };
    });
    const posix = found.map((t) => {
      const old = b.out(ITIMER_SIZE);
      return { t, old, n: b.call(SYS.timer_settime, t.id, 0, b.bytes(ZERO), old) };
    });
    const r = await b.run();
    for (const { n } of interval) check(r.value(n), 'reading an interval timer');
    for (const p of posix) check(r.value(p.n), `reading timer ${p.t.id}`);
    const state: TimerState = {
      interval: interval.map(({ old }) => rearmed(r.bytes(old))),
      posix: posix.map(({ t, old }) => ({ ...t, tid: domainTid(process, t.tid), time: r.bytes(old) })),
    };
    context.undo.add('arming the timers again', () =>
      arm(leader, state, new Map(state.posix.map((t) => [t.id, t.id]))),
    );
    return state;
  },
  async restore({ leader }, state) {
    const ids = new Map<number, number>();
    for (const t of state.posix) ids.set(t.id, await createTimer(leader, t));
    await arm(leader, state, ids);
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

function domainTid({ frozen, view, context }: CheckpointProcess, hostTid: number): number {
  if (hostTid === frozen.hostPid) return view.pid;
  const index = frozen.threads.findIndex((t) => t.tracee.tid === hostTid);
  const tid = context.threadIds.get(hostTid);
  if (index < 0 || tid === undefined)
    throw unsupported('a timer that notifies a thread that has ended', `process ${view.pid}`);
  return tid;
}

/** Makes a timer with the id it had. */
async function createTimer(leader: Tracee, t: PosixTimer): Promise<number> {
  // struct sigevent: value u64, signo i32, notify i32, tid i32.
  const event = new Uint8Array(64);
  const view = new DataView(event.buffer);
  view.setBigUint64(0, t.value, true);
  view.setInt32(8, t.signal, true);
  view.setInt32(12, t.notify, true);
  view.setInt32(16, t.tid, true);
  const idBytes = new Uint8Array(new Int32Array([t.id, 0]).buffer);

  // Since Linux 6.15 an id can be asked for; before, they count up from 0 in each process.
  const asked = (await leader.syscall(SYS.prctl, PR.TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0)) === 0;
  for (let turn = 0; turn <= t.id + 1; turn++) {
    const b = leader.batch();
    const id = b.inout(idBytes);
    const made = b.call(SYS.timer_create, t.clock, b.bytes(event), id);
    const r = await b.run();
    check(r.value(made), `making timer ${t.id}`);
    const got = r.view(id).getInt32(0, true);
    if (got === t.id) {
      if (asked) await leader.syscall(SYS.prctl, PR.TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0);
      return got;
    }
    await leader.syscall(SYS.timer_delete, got);
    if (got > t.id) break;
  }
  throw new DomainError('guest', `timer ${t.id} cannot have its id`);
}

async function arm(leader: Tracee, state: TimerState, ids: ReadonlyMap<number, number>): Promise<void> {
  const b = leader.batch();
  const refs = [
    ...state.interval.flatMap((time, which) => (isZero(time) ? [] : [b.call(SYS.setitimer, which, b.bytes(time), 0)])),
    ...state.posix.flatMap((t) =>
      isZero(t.time) ? [] : [b.call(SYS.timer_settime, ids.get(t.id) ?? -1, 0, b.bytes(t.time), 0)],
    ),
  ];
  if (refs.length === 0) return;
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), 'arming a timer');
}
