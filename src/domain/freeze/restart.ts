import { ECALL } from '../../guest/hands/code.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { FrozenThread } from './frozen-thread.js';
import { EINTR } from '../linux/flags.js';
import { readTexts } from '../linux/os.js';
import { together } from '../together.js';
import { PC, REG, type Registers } from '../trace/tracee.js';

/**
 * Calls that answer EINTR even to a stop without a signal (signal(7)), and the argument that says they wait for ever, with its
 * value. With a time they answer it: whoever gives a time reckons what is left of it.
 */
const WITHOUT_END = new Map<number, readonly [register: number, value: bigint]>([
  [SYS.epoll_pwait, [REG.a3, -1n]],
  [SYS.epoll_pwait2, [REG.a3, 0n]],
  [SYS.rt_sigtimedwait, [REG.a2, 0n]],
  [SYS.semtimedop, [REG.a3, 0n]],
  [SYS.io_getevents, [REG.a4, 0n]],
]);

/** Calls that answer it too and have no time of their own: a socket with one (SO_RCVTIMEO, SO_SNDTIMEO) waits that long anew. */
const ANEW = new Set<number>([
  SYS.semop,
  SYS.connect,
  SYS.accept,
  SYS.accept4,
  SYS.read,
  SYS.readv,
  SYS.recvfrom,
  SYS.recvmsg,
  SYS.recvmmsg,
  SYS.write,
  SYS.writev,
  SYS.sendto,
  SYS.sendmsg,
  SYS.sendmmsg,
]);

/** What /proc shows as the first argument where a thread is in no call. */
const NO_CALL = '0xffffffffffffffff';

/** Whether it is a call that is made again, though it has answered EINTR. */
function isBegunAgain(regs: Registers): boolean {
  if (BigInt.asIntN(64, regs[REG.a0] ?? 0n) !== BigInt(-EINTR)) return false;
  const nr = Number(regs[REG.a7] ?? 0n);
  if (ANEW.has(nr)) return true;
  const [register, value] = WITHOUT_END.get(nr) ?? [];
  if (register === undefined || value === undefined) return false;
  const is = regs[register] ?? 0n;
  // An int argument: the upper half is nobody's.
  return BigInt.asIntN(64, is) === value || (value === -1n && BigInt.asIntN(32, is) === -1n);
}

/**
 * Registers with which a thread goes on as if nobody had stopped it. Where the kernel itself would begin an
 * interrupted call again, the tracer sees the program counter at the `ecall` already. A few calls end with
 * EINTR instead; those that would wait for ever are begun again here. The first argument, which the
 * result has overwritten, is still told by `/proc/PID/task/TID/syscall`.
 *
 * Must be asked before the thread makes any other call.
 */
export async function uninterrupted(
  threads: readonly { readonly hostPid: number; readonly thread: FrozenThread }[],
): Promise<Registers[]> {
  const hands = threads[0]?.thread.tracee.hands;
  const suspects = threads.filter(({ thread }) => isBegunAgain(thread.regs));
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
    if (first?.startsWith('0x') !== true || first === NO_CALL) {
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
