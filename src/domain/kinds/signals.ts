import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { CATCHABLE, PTRACE } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { together } from '../together.js';
import { processKind } from './kind.js';

/** `struct sigaction` of the kernel on RISC-V: handler u64, flags u64, mask u64. */
const ACTION_SIZE = 24;
const SIGINFO_SIZE = 128;
const MAX_PENDING = 64;
const PEEKSIGINFO_SHARED = 1;
const SI_TIMER = -2;

interface SignalState {
  /** By signal number, those that are not the default. */
  readonly actions: readonly { readonly signal: number; readonly action: Uint8Array }[];
  /** siginfo of signals pending for the whole process. */
  readonly pending: readonly Uint8Array[];
}

/** Handlers, their flags and masks, and what is pending for the process as a whole. */
export const signals = processKind<SignalState>({
  name: 'signals',
  keeps: 'handlers, flags, masks, pending signals with their information',
  stage: 'late',
  async checkpoint({ leader }) {
    const b = leader.batch();
    const olds = CATCHABLE.map((signal) => {
      const old = b.out(ACTION_SIZE);
      return { signal, old, n: b.call(SYS.rt_sigaction, signal, 0, old, 8) };
    });
    const [r, pending] = await together([b.run(), peekSignals(leader.hands, leader.tid, PEEKSIGINFO_SHARED)]);
    const actions = olds.map(({ signal, old, n }) => {
      check(r.value(n), `reading the action of signal ${signal}`);
      return { signal, action: r.bytes(old) };
    });
    return {
      actions: actions.filter((a) => a.action.some((byte) => byte !== 0)),
      pending,
    };
  },
  async restore({ leader, pid }, state) {
    const b = leader.batch();
    const refs = [
      ...state.actions.map(({ signal, action }) => b.call(SYS.rt_sigaction, signal, b.bytes(action), 0, 8)),
      ...state.pending.map((info) => b.call(SYS.rt_sigqueueinfo, pid, signalOf(info), b.bytes(info))),
    ];
    if (refs.length === 0) return;
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), 'restoring signals');
  },
});

/** `struct siginfo`: si_signo i32 first. */
export function signalOf(info: Uint8Array): number {
  return new DataView(info.buffer, info.byteOffset).getInt32(0, true);
}

/** Pending signals of a stopped thread, or of its process; they stay pending. */
export async function peekSignals(hands: Hands, tid: number, flags: number): Promise<Uint8Array[]> {
  // struct ptrace_peeksiginfo_args: off u64, flags u32, nr i32
  const args = new Uint8Array(16);
  const view = new DataView(args.buffer);
  view.setUint32(8, flags, true);
  view.setInt32(12, MAX_PENDING, true);
  const b = hands.batch();
  const out = b.out(SIGINFO_SIZE * MAX_PENDING);
  const n = b.call(SYS.ptrace, PTRACE.PEEKSIGINFO, tid, b.bytes(args), out);
  const r = await b.run();
  const count = check(r.value(n), `reading the pending signals of thread ${tid}`);
  if (count === MAX_PENDING) throw unsupported(`more than ${MAX_PENDING - 1} pending signals`, `thread ${tid}`);
  const all = r.bytes(out);
  return Array.from({ length: count }, (_, i) => {
    const info = all.slice(SIGINFO_SIZE * i, SIGINFO_SIZE * (i + 1));
    const fields = new DataView(info.buffer);
    // What the source's kernel noted for itself about the timer must not lead another kernel to a timer.
    if (fields.getInt32(8, true) === SI_TIMER) fields.setInt32(32, 0, true);
    return info;
  });
}
