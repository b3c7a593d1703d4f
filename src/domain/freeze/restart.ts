import { ECALL } from '../../guest/hands/code.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { FrozenThread } from './frozen-thread.js';
import { EINTR } from '../linux/flags.js';
import { readTexts } from '../linux/os.js';
import { together } from '../together.js';
import { PC, REG, type Registers } from '../trace/tracee.js';

/** Calls that answer EINTR even to a stop without a signal, and the argument that says they wait for ever, with its value. */
const WITHOUT_END = new Map<number, readonly [register: number, value: bigint]>([
  [SYS.epoll_pwait, [REG.a3, -1n]],
  [SYS.epoll_pwait2, [REG.a3, 0n]],
  [SYS.rt_sigtimedwait, [REG.a2, 0n]],
]);

/**
 * Registers with which a thread goes on as if nobody had stopped it. Where the kernel itself would begin an
 * interrupted call again, the tracer sees the program counter at the `ecall` already. A few calls end with
 * EINTR instead (signal(7)); those that wait for ever are begun again here. The first argument, which the
 * result has overwritten, is still told by `/proc/PID/task/TID/syscall`.
 *
 * Must be asked before the thread makes any other call.
 */
export async function uninterrupted(
  threads: readonly { readonly hostPid: number; readonly thread: FrozenThread }[],
): Promise<Registers[]> {
  const hands = threads[0]?.thread.tracee.hands;
  const suspects = threads.filter(({ thread: { regs } }) => {
    const rule = WITHOUT_END.get(Number(regs[REG.a7] ?? 0n));
    return (
      rule !== undefined &&
      BigInt.asIntN(64, regs[REG.a0] ?? 0n) === BigInt(-EINTR) &&
      // An int argument: the upper half is nobody's.
      (BigInt.asIntN(64, regs[rule[0]] ?? 0n) === rule[1] ||
        (rule[1] === -1n && BigInt.asIntN(32, regs[rule[0]] ?? 0n) === -1n))
    );
  });
  if (hands === undefined || suspects.length === 0) return threads.map(({ thread }) => thread.regs);
  const [texts, atCall] = await together([
    readTexts(
      hands,
      suspects.map((s) => `/proc/${s.hostPid}/task/${s.thread.tracee.tid}/syscall`),
      1,
    ),
    together(suspects.map(({ thread: { tracee, regs } }) => standsEcall(tracee, Number(regs[PC] ?? 0n) - 4))),
  ]);
  const firstArguments = new Map(suspects.flatMap((s, i) => (atCall[i] ? [[s.thread, texts[i]?.split(' ')[1]]] : [])));
  const out: Registers[] = [];
  for (const { thread } of threads) {
    const { regs } = thread;
    const first = firstArguments.get(thread);
    const pc = Number(regs[PC] ?? 0n) - 4;
    if (first?.startsWith('0x') !== true) {
      out.push(regs);
      continue;
    }
    const again = regs.slice();
    again[PC] = BigInt(pc);
    again[REG.a0] = BigInt(first);
    out.push(again);
  }
  return out;
}

/** Whether a process has an `ecall` at an address. */
export async function standsEcall(tracee: FrozenThread['tracee'], at: number): Promise<boolean> {
  const word = await tracee.peek(at, 4);
  return word.length === 4 && new DataView(word.buffer).getUint32(0, true) === ECALL;
}
