/** Instructions at random, of the whole table: most of them make sense, none of them together. */
import { instructions } from '../../src/hart/isa/table/index.js';
import type { Instruction } from '../../src/hart/isa/table/instruction.js';
import type { Random } from '../../src/hart/testing/random.js';

/** CSRs that chaos may name: without the trap handler's (stvec, sscratch), satp, and what keeps its timer from it. */
const CSRS = [
  0x001,
  0x002,
  0x003,
  0x106,
  0x10a,
  0x141,
  0x142,
  0x143,
  0x144,
  0xc00,
  0xc01,
  0xc02,
  0x180 + 1,
  0x300,
  0x5a8,
];
/** wfi would sleep until the timer, the rest is asked for elsewhere on purpose. */
const ELSEWHERE = new Set(['wfi', 'ecall', 'sret', 'ring']);
const usable = instructions.filter(({ name }) => !ELSEWHERE.has(name));
const byFlow = (flow: Instruction['flow']): Instruction[] => usable.filter((i) => i.flow === flow);
const PLAIN = [...byFlow('next'), ...byFlow('branch')];
const ACCESSES = usable.filter(
  ({ access, format }) => access !== undefined || format === 'atomic' || format === 'loadReserved',
);
const WILD = usable;

/** A word that may be any instruction, or none. */
export function chaosWord(random: Random): number {
  switch (random.below(16)) {
    case 0:
      return random.bits();
    case 1:
      // Two compressed ones.
      return random.bits() & ~((random.bits() & 1) << 16) & ~3;
    case 2:
    case 3:
      return bitsOf(random.pick(WILD), random);
    case 4:
    case 5:
    case 6:
    case 7:
      return bitsOf(random.pick(ACCESSES), random);
    default:
      return bitsOf(random.pick(PLAIN), random);
  }
}

function bitsOf({ format, match, mask, flow }: Instruction, random: Random): number {
  let free = random.bits() & ~mask;
  if (format === 'csr' || format === 'csrImmediate') free = (free & 0xf_ffff) | (random.pick(CSRS) << 20);
  // Branches stay near: bits 31:29 and 7 are those that lead far away.
  if (flow === 'branch') free &= ~0x6000_0080;
  if (flow === 'jump') free &= 0x00f0_0fff;
  return match | free;
}
