/** Guests of a few instructions: what a test wants a hart to do, in assembly, behind the header of a Linux `Image`. */
import { assemble } from '../../hart/isa/assembler.js';
import { RAM_START } from '../../partition/address-space.js';
import { BARE_HEADER, BareImage } from '../bare-image.js';

/** Bytes of memory that a bare guest is given unless a test wants more: the least an OS instance can have, and some. */
export const BARE_MEMORY = 24 * 2 ** 20;
/** Where the code of a bare kernel may write: behind itself. */
export const BARE_DATA = RAM_START + 0x10_0000;

const IMAGE_SIZE = 0x20_0000;

/**
 * A kernel that begins with `source` in supervisor mode without translation, its hart's id in a0. The symbol `data` is
 * BARE_DATA.
 */
export function bareKernel(source: string): Uint8Array {
  const start = RAM_START + BARE_HEADER;
  const image = new BareImage({ size: IMAGE_SIZE });
  image.put(start, assemble(source, BigInt(start), { data: BigInt(BARE_DATA) }).code);
  return image.bytes;
}

/** Counts in memory at `data` and never sleeps. */
export const COUNTING = `
  la t0, data
count:
  ld t1, (t0)
  addi t1, t1, 1
  sd t1, (t0)
  j count`;

/** Hart 0 starts harts 1 to \`harts\` - 1; each counts in a word of its own, at data + 8 * its id, and never sleeps. */
export const countingHarts = (harts: number): string => `
  bnez a0, work
  li s0, 1
next:
  li t0, ${harts}
  beq s0, t0, begin
  mv a0, s0
  la a1, work
  li a2, 0
  li a6, 0
  li a7, 0x48534d
  ecall
  addi s0, s0, 1
  j next
begin:
  li a0, 0
work:
  la t0, data
  slli a0, a0, 3
  add t0, t0, a0
count:
  ld t1, (t0)
  addi t1, t1, 1
  sd t1, (t0)
  j count`;
