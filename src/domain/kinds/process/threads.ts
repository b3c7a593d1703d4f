import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { PR, PTRACE } from '../../linux/flags.js';
import { askAll } from '../../linux/ask-all.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import { processKind } from '../kind.js';
import { peekSignals, queueSignals, withoutTimers } from './pending.js';

interface ThreadState {
  readonly tid: number;
  /** As the kernel has it: /proc shows some characters of it as others. */
  readonly name: Uint8Array;
  /** `stack_t`: sp u64, flags i32, padding, size u64. */
  readonly altStack: Uint8Array;
  /** set_tid_address(2) */
  readonly clearTid: bigint;
  readonly robust: { readonly head: bigint; readonly length: bigint };
  readonly rseq: { readonly pointer: bigint; readonly size: number; readonly signature: number };
  readonly pending: readonly Uint8Array[];
}

const RSEQ_CONFIG_SIZE = 24;
/** TASK_COMM_LEN */
const NAME_SIZE = 16;

/** What the kernel keeps for each thread: alternate stack, robust list, restartable sequences, pending signals. */
export const threads = processKind<readonly ThreadState[]>({
  name: 'threads',
  keeps: 'ids, names, registers with floating point, alternate stack, set_tid_address, robust list, rseq',
  stage: 'late',
  async checkpoint({ context, view, frozen }) {
    const { hands } = context;
    const looks = await askAll(hands, frozen.threads, 2, (b, { tracee: { tid } }) => {
      const rseq = b.out(RSEQ_CONFIG_SIZE);
      const head = b.out(8);
      const length = b.out(8);
      b.call(SYS.ptrace, PTRACE.GET_RSEQ_CONFIGURATION, tid, RSEQ_CONFIG_SIZE, rseq);
      const got = b.call(SYS.get_robust_list, tid, head, length);
      return (r) => {
        check(r.value(got), `asking for the robust list of thread ${tid}`);
        return {
          rseq: r.view(rseq),
          robust: { head: r.view(head).getBigUint64(0, true), length: r.view(length).getBigUint64(0, true) },
        };
      };
    });
    const statuses = new Map(view.threads.map((t) => [t.hostTid, t.status]));
    const states = frozen.threads.map(async ({ tracee }, i): Promise<ThreadState> => {
      const t = tracee.batch();
      const altStack = t.out(24);
      const clearTid = t.out(8);
      const name = t.out(NAME_SIZE);
      const refs = [
        t.call(SYS.sigaltstack, 0, altStack),
        t.call(SYS.prctl, PR.GET_TID_ADDRESS, clearTid),
        t.call(SYS.prctl, PR.GET_NAME, name),
      ];
      const status = statuses.get(tracee.tid);
      if (status === undefined) throw new DomainError('lost', `thread ${tracee.tid} is gone`);
      // A timer may have expired since the thread was looked at; nobody else sends it anything.
      const mayHave = status.pending.thread !== 0n || view.timers !== '';
      const [tr, pending] = await together([
        t.run(),
        mayHave ? peekSignals(hands, tracee.tid, 'thread', status.pending.thread) : [],
      ]);
      for (const ref of refs) check(tr.value(ref), `asking thread ${tracee.tid}`);
      const { rseq, robust } = looks[i];
      return {
        tid: status.nsPid.at(-1) ?? -1,
        name: tr.bytes(name),
        altStack: tr.bytes(altStack),
        clearTid: tr.view(clearTid).getBigUint64(0, true),
        robust,
        rseq: {
          pointer: rseq.getBigUint64(0, true),
          size: rseq.getUint32(8, true),
          signature: rseq.getUint32(12, true),
        },
        pending: withoutTimers(pending, view.timers),
      };
    });
    return together(states);
  },
  async restore(process, states) {
    const restore = async (s: ThreadState): Promise<void> => {
      const tracee = process.threads.get(s.tid);
      if (tracee === undefined) return;
      const b = tracee.batch();
      const refs = [
        b.call(SYS.sigaltstack, b.bytes(s.altStack), 0),
        b.call(SYS.set_robust_list, s.robust.head, s.robust.length),
        b.call(SYS.prctl, PR.SET_NAME, b.bytes(s.name)),
      ];
      b.call(SYS.set_tid_address, s.clearTid);
      if (s.rseq.pointer !== 0n) refs.push(b.call(SYS.rseq, s.rseq.pointer, s.rseq.size, 0, s.rseq.signature));
      const [r] = await together([b.run(), queueSignals(tracee, process.pid, s.tid, s.pending)]);
      refs.forEach((ref, i) => check(r.value(ref), `restoring thread ${s.tid} (call ${i})`));
    };
    await together(states.map(restore));
  },
});
