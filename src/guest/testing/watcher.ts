/**
 * A bare guest that watches over itself: whatever somebody else changes of it, it notices.
 *
 *   BARE_DATA + 0    rounds      + 8   faults that it has found      + 16   where the first one was
 *   CODE             128 pages with a function each, which is written anew in one of eight rounds, and called in all;
 *                    some of them hold a number besides that is compared behind each page of the memory below
 *   WATCHED          memory whose every doubleword it knows: in each round it compares all of them and writes others
 *
 * Registers and CSRs hold values of its own as well.
 */
import { BARE_DATA, bareKernel } from './bare-kernel.js';

export const WATCHED = BARE_DATA + 0x10_0000;
/** Bytes. */
export const WATCHED_SIZE = 8 * 2 ** 20;

const CODE = WATCHED + WATCHED_SIZE;
const PAGES = 128;
/** Of those, so many are looked at all the time. */
const HOT = 24;
/** `li a0, 0`, to which a number is added in bits 31:20, and `ret`. */
const [LOAD, RETURN] = [0x0000_0513, 0x0000_8067];

const FACTOR = 0x9e37_79b9_7f4a_7c15n;
const MARK = 0x0123_4567_89ab_cdefn;

/** It counts a fault whose place is in t0. */
export const watcherKernel = (): Uint8Array =>
  bareKernel(`
  la s0, data
  li s1, ${WATCHED}
  li s2, ${WATCHED + WATCHED_SIZE}
  li s3, ${FACTOR}
  li s4, 0
  li s5, ${MARK}
  csrw sscratch, s5
  mv s6, s5
  mv t0, s1
fill:
  mul t1, t0, s3; sd t1, (t0); addi t0, t0, 8; bltu t0, s2, fill
  li t0, ${CODE}; li t2, ${CODE + HOT * 4096}; li t3, 4096
mark:
  mul t1, t0, s3; sd t1, 16(t0); add t0, t0, t3; bltu t0, t2, mark
round:
  mv t0, s1
  addi s7, s4, 1
word:
  mul t1, t0, s3; add t2, t1, s4; ld t3, (t0); bne t2, t3, broken
next:
  add t2, t1, s7; sd t2, (t0)
  addi t0, t0, 8
  slli t1, t0, 52; bnez t1, near
  # Behind each page: pages that are looked at so often that the hart knows where they are.
  li t4, ${CODE}; li t5, ${CODE + HOT * 4096}; li t6, 4096
hot:
  mul t2, t4, s3; ld t3, 16(t4); bne t2, t3, changed
warm:
  sd t2, 16(t4); add t4, t4, t6; bltu t4, t5, hot
near:
  bltu t0, s2, word
  csrr t1, sscratch; li t0, 0; bne t1, s5, strange
  bne s6, s5, strange
  csrr t1, sip; bnez t1, strange
  csrr t1, satp; bnez t1, strange
  # A function in each page answers its number and that of the round in which it was written: in one of eight.
  addi t0, s7, -1; andi s11, t0, -8
  bne s11, t0, written
  li s8, ${CODE}; li s9, 0; li t3, 4096
write:
  add t1, s9, s11; andi t1, t1, 1023; slli t1, t1, 20; li t2, ${LOAD}; or t1, t1, t2; sw t1, (s8)
  li t2, ${RETURN}; sw t2, 4(s8)
  add s8, s8, t3; addi s9, s9, 1; li t2, ${PAGES}; bltu s9, t2, write
  fence.i
written:
  li s10, 16
calls:
  li s8, ${CODE}; li s9, 0
call:
  jalr ra, (s8)
  add t1, s9, s11; andi t1, t1, 1023; mv t0, s8; bne a0, t1, misled
called:
  li t3, 4096; add s8, s8, t3; addi s9, s9, 1; li t2, ${PAGES}; bltu s9, t2, call
  addi s10, s10, -1; bgtz s10, calls
rounded:
  mv s4, s7
  sd s4, (s0)
  j round
broken:
  ld t4, 8(s0); addi t5, t4, 1; sd t5, 8(s0); bnez t4, next
  sd t0, 16(s0)
  j next
changed:
  ld t3, 8(s0); addi t1, t3, 1; sd t1, 8(s0); bnez t3, warm
  sd t4, 16(s0)
  j warm
misled:
  ld t4, 8(s0); addi t5, t4, 1; sd t5, 8(s0); bnez t4, called
  sd t0, 16(s0)
  j called
strange:
  ld t4, 8(s0); addi t4, t4, 1; sd t4, 8(s0)
  j rounded
`);

/** What a watcher has to say. */
export interface Watch {
  readonly rounds: number;
  readonly faults: number;
  /** Address of the first, 0 if it was no memory. */
  readonly first: number;
}

/** Reads it out of the watcher's memory. */
export function watchOf(memory: { readonly view: DataView; offsetOf(address: number): number }): Watch {
  const at = memory.offsetOf(BARE_DATA);
  const read = (offset: number): number => Number(memory.view.getBigUint64(at + offset, true));
  return { rounds: read(0), faults: read(8), first: read(16) };
}
