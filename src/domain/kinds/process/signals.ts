import { SYS } from '../../../guest/hands/syscalls.js';
import { CATCHABLE } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import { processKind } from '../kind.js';
import { peekSignals, queueSignals, withoutTimers } from './pending.js';

/** `struct sigaction` of the kernel on RISC-V: handler u64, flags u64, mask u64. */
const ACTION_SIZE = 24;

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
  async checkpoint({ view, leader }) {
    const b = leader.batch();
    const olds = CATCHABLE.map((signal) => {
      const old = b.out(ACTION_SIZE);
      return { signal, old, n: b.call(SYS.rt_sigaction, signal, 0, old, 8) };
    });
    const [r, pending] = await together([
      b.run(),
      peekSignals(leader.hands, leader.tid, 'process', view.status.pending.process),
    ]);
    const actions = olds.map(({ signal, old, n }) => {
      check(r.value(n), `reading the action of signal ${signal}`);
      return { signal, action: r.bytes(old) };
    });
    return {
      actions: actions.filter((a) => a.action.some((byte) => byte !== 0)),
      pending: withoutTimers(pending, view.timers),
    };
  },
  async restore({ leader, pid }, state) {
    const b = leader.batch();
    const refs = state.actions.map(({ signal, action }) => b.call(SYS.rt_sigaction, signal, b.bytes(action), 0, 8));
    const [r] = await together([
      refs.length === 0 ? undefined : b.run(),
      queueSignals(leader, pid, undefined, state.pending),
    ]);
    if (r !== undefined) for (const ref of refs) check(r.value(ref), 'restoring signals');
  },
});
