/** Every CSR by its number, read and written, in supervisor and user mode, with the floating-point unit off and on; odd instructions. */
import { CSR } from '../../hart/isa/csr-numbers.js';
import { encode } from '../../hart/isa/encoder.js';
import { each, label, record, routine } from './assembly.js';
import { ASK, SLOT } from './layout.js';

const RETURN = 0x8067;
const ECALL = 0x73;
/** sstatus.SPP and SPIE: to user mode, with interrupts off afterwards. */
const TO_USER = 0x120;
const FS_INITIAL = 0x2000;
const CSRS = 4096;
/** Those that count: that they can be read is what is told. */
const COUNTERS = [CSR.cycle, CSR.time, CSR.instret];
/** `csrrs a0, 0, x0`, `csrrw a0, 0, a1` and `csrrw a4, 0, a0`, to which the number is added in bits 31:20. */
const READ = encode('csrrs', { rd: 10, rs1: 0, imm: 0 });
const WRITE = encode('csrrw', { rd: 10, rs1: 11, imm: 0 });
const PUT_BACK = encode('csrrw', { rd: 14, rs1: 10, imm: 0 });
/** What is written: no patterns that satp would take, for the code would be gone with it. */
const PATTERNS = ['-1', '0x25a5a5a5a5a5a5a5'];

/** Instructions that are somebody else's, or nobody's. */
export const INSTRUCTIONS: Readonly<Record<string, number>> = {
  'all zeroes': 0,
  'all ones': 0xffff_ffff,
  ebreak: 0x0010_0073,
  mret: 0x3020_0073,
  mnret: 0x7020_0073,
  dret: 0x7b20_0073,
  'sfence.vma': 0x1200_0073,
  'sinval.vma': 0x1600_0073,
  'sfence.w.inval': 0x1800_0073,
  'hfence.vvma': 0x2200_0073,
  'hfence.gvma': 0x6200_0073,
  'hlv.d a0, (a1)': 0x6c05_c573,
  'cbo.inval (a1)': 0x0005_a00f,
  'cbo.clean (a1)': 0x0015_a00f,
  'cbo.flush (a1)': 0x0025_a00f,
  'custom-0, the ring of the hands': 0x0000_000b,
  'custom-0, another': 0x0000_100b,
  'custom-1': 0x0000_002b,
  'custom-2': 0x0000_005b,
  'custom-3': 0x0000_007b,
  'wrs.nto': 0x00d0_0073,
  'vsetvli a0, a1, e8': 0x0005_f557,
  'amocas.d': 0x28b6_b52f,
  'czero.eqz': 0x0eb5_5533,
  'flh fa0, (a1)': 0x0005_9507,
  'flq fa0, (a1)': 0x0005_c507,
  aes64es: 0x32b5_0533,
  pause: 0x0100_000f,
  'fence.tso': 0x8330_000f,
  uret: 0x0020_0073,
};
/** Those that user mode is to be refused; in supervisor mode they would not return. */
export const OF_SUPERVISORS: Readonly<Record<string, number>> = { sret: 0x1020_0073, wfi: 0x1050_0073 };

/** Runs what is at SLOT: in user mode too it ends by a trap to supervisor mode, an ecall if by no other. */
const inUserMode = (): string => {
  const back = label('back');
  return `
  li s9, -1
  li t0, ${SLOT}; csrw sepc, t0
  li t0, ${TO_USER}; csrc sstatus, t0
  la ra, ${back}
  sret
${back}:`;
};

const put = (offset: number, instruction: string): string => `${instruction}; sw t0, ${offset}(t1)`;
const word = (offset: number, value: number): string => put(offset, `li t0, ${value | 0}`);

/** A number that is compared with those of counters in s0: its value becomes 1. */
const mask = (value: string): string =>
  COUNTERS.map((number) => {
    const on = label('other');
    return `li t0, ${number}; bne s0, t0, ${on}; li ${value}, 1\n${on}:`;
  }).join('\n');

/** Values of an exception are its stval. */
const valueOrStval = (value: string): string => {
  const on = label('value');
  return `li t0, -1; beq s9, t0, ${on}; mv ${value}, s8\n${on}:`;
};

const readAll = (mode: 'S' | 'U', what: number): string =>
  each(
    's0',
    0,
    CSRS,
    1,
    `
  li t1, ${SLOT}; slli t2, s0, 20
  ${put(0, `li t0, ${READ}; or t0, t0, t2`)}
  ${word(4, mode === 'S' ? RETURN : ECALL)}
  fence.i
  ${mode === 'S' ? `li s9, -1; li t0, ${SLOT}; jalr ra, (t0)` : inUserMode()}
  ${mask('a0')}
  ${mode === 'S' ? valueOrStval('a0') : ''}
  li s1, ${what}
  ${record(ASK.csrRead, 's1', 's0', 's9', 'a0')}`,
  );

const writeAll = (pattern: string, what: number): string => {
  const skip = label('skip');
  return each(
    's0',
    0,
    CSRS,
    1,
    `
  li t0, ${CSR.satp}; beq s0, t0, ${skip}
  li t1, ${SLOT}; slli t2, s0, 20
  ${put(0, `li t0, ${WRITE}; or t0, t0, t2`)}
  ${put(4, `li t0, ${PUT_BACK}; or t0, t0, t2`)}
  ${word(8, RETURN)}
  fence.i
  li a1, ${pattern}; li s9, -1; li t0, ${SLOT}; jalr ra, (t0)
  ${valueOrStval('a4')}
  mv s2, a4
  li s1, ${what}
  ${record(ASK.csrWrite, 's1', 's0', 's9', 's2')}
${skip}:`,
  );
};

/** satp: modes that do not exist change nothing, and without one the rest is as it was written. */
const spaces = (): string =>
  [1, 5, 7, 9, 10, 11, 15]
    .map((mode) => (BigInt(mode) << 60n) | 0x123_4567n)
    .concat(0x0fff_ffff_ffff_ffffn)
    .map(
      (value) => `
  li t0, ${value}; csrw satp, t0; csrr s2, satp; csrw satp, x0
  li s0, ${CSR.satp}; li s1, 3; li s3, -1
  ${record(ASK.csrWrite, 's1', 's0', 's3', 's2')}`,
    )
    .join('\n');

const instructions = (mode: 'S' | 'U', list: Readonly<Record<string, number>>, first: number): string =>
  Object.values(list)
    .map(
      (bits, i) => `
  li t1, ${SLOT}
  ${word(0, bits)}
  ${word(4, mode === 'S' ? RETURN : ECALL)}
  fence.i
  li a0, 0; li a1, ${SLOT + 0x100}; li s9, -1
  ${mode === 'S' ? `li t0, ${SLOT}; jalr ra, (t0)` : inUserMode()}
  li s1, ${mode === 'S' ? 0 : 1}; li s0, ${first + i}
  ${record(ASK.instruction, 's1', 's0', 's9', 's8')}`,
    )
    .join('\n');

/** Names of the instructions by the number that is told. */
export const instructionNames = [...Object.keys(INSTRUCTIONS), ...Object.keys(OF_SUPERVISORS)];

export const registers = (): string =>
  routine(
    'registers',
    `
  li t0, 0x6000; csrc sstatus, t0
  ${readAll('S', 0)}
  li t0, ${FS_INITIAL}; csrs sstatus, t0
  ${readAll('S', 1)}
  ${readAll('U', 2)}
  ${PATTERNS.map((pattern, i) => writeAll(pattern, i)).join('\n')}
  ${spaces()}
  li s8, 0
  ${instructions('S', INSTRUCTIONS, 0)}
  ${instructions('U', { ...INSTRUCTIONS, ...OF_SUPERVISORS }, 0)}
  li t0, 0x6000; csrc sstatus, t0`,
  );
