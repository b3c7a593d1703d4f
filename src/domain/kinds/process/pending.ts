/** Signals that are pending: looked at without being taken, and queued again with all that is known of them. */
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { NSIG, PTRACE } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import type { Tracee } from '../../trace/tracee.js';

const SIGINFO_SIZE = 128;
/** Asked for at a time: at first, and where there are more. */
const FEW = 8;
const MANY = 64;
/** More than any kernel of a guest allows by itself. */
const MOST_PENDING = 100_000;
/** Queued by one list of calls: it has room for some more. */
const QUEUED_AT_ONCE = 500;
const PEEKSIGINFO_SHARED = 1;
const SI_TIMER = -2;
const RLIMIT_SIGPENDING = 11;

/** `struct siginfo`: si_signo i32 first. */
export function signalOf(info: Uint8Array): number {
  return new DataView(info.buffer, info.byteOffset).getInt32(0, true);
}

/** The timer whose expiry a signal tells of, or undefined. si_code i32 at 8, si_tid i32 at 16. */
export function timerOf(info: Uint8Array): number | undefined {
  const fields = new DataView(info.buffer, info.byteOffset);
  return fields.getInt32(8, true) === SI_TIMER ? fields.getInt32(16, true) : undefined;
}

/**
 * Information about the pending signals of a stopped thread, or of its whole process, in their order; they stay pending.
 * `bits`: the signals that were pending when it was looked at. One that is and has no information lost it where there
 * were too many; it comes to a handler as if a user had sent it.
 */
export async function peekSignals(
  hands: Hands,
  tid: number,
  whose: 'thread' | 'process',
  bits: bigint,
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  for (let [atOnce, more] = [FEW, true]; more; atOnce = MANY) {
    // struct ptrace_peeksiginfo_args: off u64, flags u32, nr i32
    const args = new Uint8Array(16);
    const view = new DataView(args.buffer);
    view.setBigUint64(0, BigInt(found.length), true);
    view.setUint32(8, whose === 'process' ? PEEKSIGINFO_SHARED : 0, true);
    view.setInt32(12, atOnce, true);
    const b = hands.batch();
    const out = b.out(SIGINFO_SIZE * atOnce);
    const n = b.call(SYS.ptrace, PTRACE.PEEKSIGINFO, tid, b.bytes(args), out);
    const r = await b.run();
    const count = check(r.value(n), `reading the pending signals of thread ${tid}`);
    const all = r.bytes(out);
    for (let i = 0; i < count; i++) found.push(portable(all.slice(SIGINFO_SIZE * i, SIGINFO_SIZE * (i + 1))));
    more = count === atOnce;
    if (found.length > MOST_PENDING) throw unsupported(`more than ${MOST_PENDING} pending signals`, `thread ${tid}`);
  }
  const told = new Set(found.map(signalOf));
  for (let signal = 1; signal <= NSIG; signal++)
    if ((bits & (1n << BigInt(signal - 1))) !== 0n && !told.has(signal)) found.push(bare(signal));
  return found;
}

/** Those but of timers that are there: they send theirs again (timers.ts). */
export function withoutTimers(infos: readonly Uint8Array[], timers: string): Uint8Array[] {
  const there = new Set([...timers.matchAll(/^ID: (\d+)$/gm)].map((m) => Number(m[1])));
  return infos.filter((info) => !there.has(timerOf(info) ?? -1));
}

/** What the source's kernel noted for itself about the timer must not lead another kernel to a timer. */
function portable(info: Uint8Array): Uint8Array {
  if (timerOf(info) !== undefined) new DataView(info.buffer).setInt32(32, 0, true);
  return info;
}

/** As kernels make one up for a signal without information: sent by process 0 (SI_USER is 0). */
function bare(signal: number): Uint8Array {
  const info = new Uint8Array(SIGINFO_SIZE);
  new DataView(info.buffer).setInt32(0, signal, true);
  return info;
}

/** Has a thread queue signals for itself (`tid`), or for its process. It may have as many as the original had. */
export async function queueSignals(
  tracee: Tracee,
  pid: number,
  tid: number | undefined,
  infos: readonly Uint8Array[],
): Promise<void> {
  for (let start = 0; start < infos.length; start += QUEUED_AT_ONCE) {
    const b = tracee.batch();
    // Its own limit comes later.
    b.call(SYS.prlimit64, 0, RLIMIT_SIGPENDING, b.bytes(new Uint8Array(16).fill(0xff)), 0);
    const refs = infos
      .slice(start, start + QUEUED_AT_ONCE)
      .map((info) =>
        tid === undefined
          ? b.call(SYS.rt_sigqueueinfo, pid, signalOf(info), b.bytes(info))
          : b.call(SYS.rt_tgsigqueueinfo, pid, tid, signalOf(info), b.bytes(info)),
      );
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), `queueing the pending signals of process ${pid}`);
  }
}
