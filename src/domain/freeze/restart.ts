import { ECALL } from '../../guest/hands/code.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { FrozenThread } from './frozen-thread.js';
import { EINTR } from '../linux/flags.js';
import { readLinks, readTexts } from '../linux/os.js';
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

/** Calls that answer it where they wait at a socket with a limit of time (SO_RCVTIMEO, SO_SNDTIMEO): that begins anew. */
const OF_SOCKETS = new Set<number>([
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

/** A wait of io_uring_enter(2) with more arguments (`struct io_uring_getevents_arg`), among which there may be a time. */
const IORING_ENTER_EXT_ARG = 8;
const TIME_AT = 16;

/** What /proc shows as the first argument where a thread is in no call. */
const NO_CALL = '0xffffffffffffffff';

/** A stopped thread, and the signals that are pending for it or its process. */
export interface Interrupted {
  readonly hostPid: number;
  readonly thread: FrozenThread;
  readonly pending: bigint;
}

const callOf = ({ thread: { regs } }: Interrupted): number => Number(regs[REG.a7] ?? 0n);

/** Whether it has answered EINTR to the stop alone, and may be made again. */
function isBegunAgain(one: Interrupted): boolean {
  const { regs, mask } = one.thread;
  if (BigInt.asIntN(64, regs[REG.a0] ?? 0n) !== BigInt(-EINTR)) return false;
  // A signal that it is about to be told of is meant to interrupt it.
  if ((one.pending & ~mask) !== 0n) return false;
  const nr = callOf(one);
  if (nr === SYS.semop || OF_SOCKETS.has(nr)) return true;
  // Nothing was submitted, or it would say how much.
  if (nr === SYS.io_uring_enter) return true;
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
export async function uninterrupted(threads: readonly Interrupted[]): Promise<Registers[]> {
  const again = await beginAgainOf(threads.filter(isBegunAgain));
  return threads.map(({ thread }) => again.get(thread) ?? thread.regs);
}

/** The registers with which these make their calls again, those that do. */
async function beginAgainOf(suspects: readonly Interrupted[]): Promise<Map<FrozenThread, Registers>> {
  const hands = suspects[0]?.thread.tracee.hands;
  if (hands === undefined) return new Map();
  const taskOf = ({ hostPid, thread }: Interrupted): string => `/proc/${hostPid}/task/${thread.tracee.tid}`;
  const [texts, atCall] = await together([
    readTexts(
      hands,
      suspects.map((s) => `${taskOf(s)}/syscall`),
      1,
    ),
    together(suspects.map(({ thread: { tracee, regs } }) => standsEcall(tracee, Number(regs[PC] ?? 0n) - 4))),
  ]);
  const timed = await together(suspects.map(hasTime));
  const calls = suspects.flatMap((suspect, i) => {
    const first = texts[i]?.split(' ')[1] ?? '';
    return !timed[i] && atCall[i] && first.startsWith('0x') && first !== NO_CALL
      ? [{ suspect, first: BigInt(first) }]
      : [];
  });
  const ofSockets = calls.filter(({ suspect }) => OF_SOCKETS.has(callOf(suspect)));
  const links = await readLinks(
    hands,
    ofSockets.map(({ suspect, first }) => `${taskOf(suspect)}/fd/${BigInt.asIntN(32, first)}`),
  );
  // Nobody else's reads and writes answer it: that thread comes from a handler.
  const others = new Set(ofSockets.filter((_, i) => links[i]?.startsWith('socket:') !== true));
  return new Map(
    calls
      .filter((call) => !others.has(call))
      .map(({ suspect: { thread }, first }) => {
        const regs = thread.regs.slice();
        regs[PC] = (regs[PC] ?? 0n) - 4n;
        regs[REG.a0] = first;
        return [thread, regs];
      }),
  );
}

/** Whether it waits for completions of io_uring, and not for ever. */
async function hasTime(suspect: Interrupted): Promise<boolean> {
  const { tracee, regs } = suspect.thread;
  const isExtended = (Number(regs[REG.a3] ?? 0n) & IORING_ENTER_EXT_ARG) !== 0;
  if (callOf(suspect) !== SYS.io_uring_enter || !isExtended) return false;
  const time = await tracee.peek(Number(regs[REG.a4] ?? 0n) + TIME_AT, 8);
  return time.length < 8 || time.some((byte) => byte !== 0);
}

/** Whether a process has an `ecall` at an address. */
export async function standsEcall(tracee: FrozenThread['tracee'], at: number): Promise<boolean> {
  const word = await tracee.peek(at, 4);
  return word.length === 4 && new DataView(word.buffer).getUint32(0, true) === ECALL;
}
