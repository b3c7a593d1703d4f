import { ECALL, RING, add, addi, auipc, beqz, bgez, bltz, j, ld, li, sd, words } from '../../guest/hands/code.js';
import type { LaidOut } from '../../guest/hands/batch.js';
import { NOT_RUN, ZERO_FAILS } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { __WALL } from '../linux/flags.js';

/**
 * The runner: code placed into a traced process for a while, so that the process can make, one after
 * another and on its own, system calls that only it can make. Position-independent.
 *
 *     AREA + 0x000  code
 *            0x800  spare words for the code
 *            0x1000 list of calls, then the calls' buffers
 *
 * A row of the list, ROW bytes:
 *     +0 number (-1 ends the list)   +8 a0…a5   +56 result
 *     +64, +72 where else the result goes: byte distance from this row (its own result when nowhere)
 *     +80 how far it is to the row to go on with after a failure: to the next one, or further
 */
export const AREA_SIZE = 0x40000;
/** What is refused where a process may not have as much more. */
export const NO_ROOM = 'a limit of memory (RLIMIT_AS, RLIMIT_DATA) that leaves no room';
export const LIST = 0x1000;
export const ROW = 88;
/** Entry points, from the start of the area. */
export const AT_STOP = 0;
export const AT_RUN = 4;
/** The system call of {@link run}: after it, the runner goes on with its list. */
export const AT_CALL = 36;
export const AT_IDENTIFY = 0x140;
const AT_HALT = 0x180;
export const AT_REAP = 0x1c0;
const SPARE = 0x800;
/** Where it is kept how the domain's program ended: the status as wait4 gives it (i32), and 8 bytes further its id (u64), 0 before. */
export const AT_ENDED = 0x808;
/** Id of the domain's program in the domain: the first that the first process begets. */
export const PROGRAM = 2;

/** s0: the first row. Ends at AT_STOP. */
const run = words(
  j(AT_HALT), //           0
  ld('a7', 0, 's0'), //    4  AT_RUN
  bltz('a7', -8), //       8
  ld('a0', 8, 's0'),
  ld('a1', 16, 's0'),
  ld('a2', 24, 's0'),
  ld('a3', 32, 's0'),
  ld('a4', 40, 's0'),
  ld('a5', 48, 's0'), //   32
  ECALL, //                36
  sd('a0', 56, 's0'), //   40
  ld('t0', 64, 's0'),
  add('t0', 't0', 's0'),
  sd('a0', 0, 't0'),
  ld('t0', 72, 's0'), //   56
  add('t0', 't0', 's0'),
  sd('a0', 0, 't0'), //    64
  li('t0', ROW), //        68
  bgez('a0', 8), //        72  → 80
  ld('t0', 80, 's0'), //   76
  add('s0', 's0', 't0'), // 80
  j(-80), //               84  → 4
);

/**
 * What the first process of a PID namespace does for ever: takes leave of orphans. How the domain's program ended, whose
 * id is {@link PROGRAM}, it keeps at AT_ENDED. When nobody is left to come it ends, or with s1 waits to be ended itself.
 */
const reap = words(
  li('a0', -1), //                  0
  auipc('a1', 0), //                4  a1 = area + AT_REAP + 4
  addi('a1', 'a1', SPARE - AT_REAP - 4), // 8 a1 = area + SPARE
  li('a2', 0), //                   12
  li('a3', 0), //                   16
  li('a7', SYS.wait4), //           20
  ECALL, //                         24
  bltz('a0', 36), //                28 → 64
  addi('t0', 'a0', -PROGRAM), //    32
  bltz('t0', -36), //               36 → 0
  addi('t0', 't0', -1), //          40
  bgez('t0', -44), //               44 → 0
  ld('t1', 0, 'a1'), //             48
  sd('t1', AT_ENDED - SPARE, 'a1'), // 52
  sd('a0', AT_ENDED - SPARE + 8, 'a1'), // 56
  j(-60), //                        60 → 0
  addi('t0', 'a0', 10), //          64  ECHILD ends it, an interruption does not
  bltz('t0', -68), //               68 → 0
  beqz('s1', 36), //                72 → 108
  li('a0', 0), //                   76
  li('a1', 0), //                   80
  li('a2', 0), //                   84
  li('a3', 0), //                   88
  li('a7', SYS.ppoll), //           92
  ECALL, //                         96
  j(-100), //                       100 → 0
  0, //                             104
  li('a0', 0), //                   108
  li('a7', SYS.exit_group), //      112
  ECALL, //                         116
);

/** Shows the nonce in a0 and a1 to the VMM, then stops. */
const identify = words(RING, j(AT_HALT - AT_IDENTIFY - 4));

/**
 * Stops the thread: it sends itself the signal in s1, at which ptrace stops it, and which is then dropped. A breakpoint
 * would do something to SIGTRAP that cannot be undone: Linux resets its action where it is blocked or ignored.
 */
const halt = words(
  li('a7', SYS.gettid), //          0
  ECALL, //                         4
  addi('a1', 's1', 0), //           8
  li('a7', SYS.tkill), //           12
  ECALL, //                         16
  j(-20), //                        20 → 0
);

export const runnerCode: Uint8Array = (() => {
  const code = new Uint8Array(0x800);
  code.set(run, AT_STOP);
  code.set(reap, AT_REAP);
  code.set(identify, AT_IDENTIFY);
  code.set(halt, AT_HALT);
  return code;
})();

/** wait4's options for a tracee. */
export const WAIT_TRACEE = __WALL;

/** Bytes of list that `count` calls take. */
export function listSize(count: number): number {
  return ROW * count + 8;
}

/**
 * The list and its buffers as they must stand at AREA + LIST. `work` is laid out for the address right
 * after the list. A result can be an argument of at most two later calls.
 */
export function encodeList(work: LaidOut): Uint8Array {
  const size = listSize(work.count);
  const bytes = new Uint8Array(size + work.input.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < work.count; i++) {
    const at = ROW * i;
    for (let k = 0; k < 7; k++) view.setBigInt64(at + 8 * k, work.rows[7 * i + k] ?? 0n, true);
    view.setBigInt64(at + 56, NOT_RUN, true);
    view.setBigInt64(at + 64, 56n, true);
    view.setBigInt64(at + 72, 56n, true);
    view.setBigInt64(at + 80, BigInt(ROW * Math.max(1, ((work.onFailure[i] ?? 0) & ~ZERO_FAILS) - i)), true);
  }
  for (let i = 0; i < work.count; i++) {
    for (let k = 0; k < 6; k++) {
      const ref = work.refs[6 * i + k] ?? 0;
      if (ref === 0) continue;
      const from = ROW * (ref - 1);
      const slot = view.getBigInt64(from + 64, true) === 56n ? 64 : 72;
      if (view.getBigInt64(from + slot, true) !== 56n)
        throw new RangeError('a result is used more than twice in one list');
      view.setBigInt64(from + slot, BigInt(ROW * i + 8 + 8 * k - from), true);
    }
  }
  view.setBigInt64(ROW * work.count, -1n, true);
  bytes.set(work.input, size);
  return bytes;
}
