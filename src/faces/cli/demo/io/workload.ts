/**
 * The program that the demonstration runs in the guest, several times at once: it writes numbered blocks to random
 * places of its part of the disk, reads others and compares every word, and flushes after each eighth write. Its code is
 * assembled here, so that nothing has to be compiled or fetched for it.
 *
 *   workload LANE          one digit; standard input and output are a console port
 *
 * It says how far it is after each 8th flush, and at the end, which comes when there is something to read: all that it
 * wrote is read once more then, and nothing follows. What it says (little-endian, 64 bits each):
 *
 *   0x00 "REPORT01"   0x08 writes   0x10 reads   0x18 flushes   0x20 blocks that were not as written
 *   0x28 failed calls 0x30 errno of the last 0x38 1: this is the end
 *
 * All accesses pass the guest's page cache by (O_DIRECT): each is a request to the device. The layout of a block is drawn
 * in src/interposition/ledger-disk.ts; behind the stamp, word i holds number × A + block × B + i × C.
 */
import { CODE_OFFSET, executable } from '../../../../guest/executable.js';
import { assemble } from '../../../../hart/isa/assembler.js';
import { BLOCK_MAGIC, BLOCK_SIZE, STAMP_SIZE } from '../../../../interposition/ledger-disk.js';

/** Blocks of each lane. */
export const LANE_BLOCKS = 1024;
/** What lies before belongs to no lane: a kernel looks there for a partition table. */
export const FIRST_BLOCK = 256;

const TEXT = 0x10000;
const BUFFER = 0x200000;
const TABLE = BUFFER + BLOCK_SIZE;
const REPORT = TABLE + 8 * LANE_BLOCKS;
const POLLED = REPORT + 64;
const NO_TIME = POLLED + 16;
const END = NO_TIME + 16;

const REPORT_MAGIC = 0x3130_5452_4f50_4552n;
export const REPORT_SIZE = 64;

const A = 0x9e37_79b9_7f4a_7c15n;
const B = 0xc2b2_ae3d_27d4_eb4fn;
const C = 0x1656_67b1_9e37_79f9n;

/** Words of eight bytes before the ones that follow from number and block. */
const STAMP_WORDS = STAMP_SIZE / 8;
const WORDS = BLOCK_SIZE / 8;

const SOURCE = `
# s0 lane, s1 number of the last write, s2 epoch, s3 randomness, s4 the disk, s5 buffer, s6 table of numbers by block,
# s7 report, s8 rounds left, s9 first block, s10 block in the lane, s11 its number
    ld   t1, 16(sp)
    lbu  s0, 0(t1)
    addi s0, s0, -48
    li   s1, 0                      # Linux leaves in the registers what was there
    li   s2, 0
    li   s5, ${BUFFER}
    li   s6, ${TABLE}
    li   s7, ${REPORT}
    li   t0, ${REPORT_MAGIC}
    sd   t0, 0(s7)
    li   t0, ${A}
    addi t1, s0, 1
    mul  s3, t0, t1
    li   t0, ${LANE_BLOCKS}
    mul  s9, s0, t0
    addi s9, s9, ${FIRST_BLOCK}
    li   a0, -100
    la   a1, path
    li   a2, 0x4002                 # O_RDWR | O_DIRECT
    li   a3, 0
    li   a7, 56                     # openat
    ecall
    blt  a0, zero, failed
    mv   s4, a0

round:
    li   s8, 8
burst:
    jal  ra, pick
    addi s1, s1, 1
    mv   s11, s1
    jal  ra, fill
    li   a7, 68                     # pwrite64
    jal  ra, transfer
    sd   s1, 8(s7)
    slli t0, s10, 3
    add  t0, t0, s6
    sd   s1, 0(t0)
    jal  ra, pick
    jal  ra, look
    addi s8, s8, -1
    bnez s8, burst
    mv   a0, s4
    li   a7, 83                     # fdatasync
    ecall
    bnez a0, failed
    addi s2, s2, 1
    sd   s2, 24(s7)
    andi t0, s2, 7
    bnez t0, round
    jal  ra, report
    li   a0, ${POLLED}
    li   t0, 1                      # POLLIN of descriptor 0
    sh   t0, 4(a0)
    li   a1, 1
    li   a2, ${NO_TIME}
    li   a3, 0
    li   a4, 8
    li   a7, 73                     # ppoll
    ecall
    li   t0, ${POLLED}
    lhu  t0, 6(t0)
    andi t0, t0, 1
    beqz t0, round

    li   s10, 0
again:
    jal  ra, look
    addi s10, s10, 1
    li   t0, ${LANE_BLOCKS}
    bne  s10, t0, again
    j    end

failed:
    neg  t0, a0
    sd   t0, 48(s7)
    li   t0, 1
    sd   t0, 40(s7)
end:
    li   t0, 1
    sd   t0, 56(s7)
    jal  ra, report
stay:                               # its end would close the disk, which flushes it once more
    li   a0, 0
    li   a1, 0
    li   a2, 0
    li   a3, 0
    li   a7, 73                     # ppoll, without an end
    ecall
    j    stay

report:
    li   a0, 1
    mv   a1, s7
    li   a2, ${REPORT_SIZE}
    li   a7, 64                     # write
    ecall
    ret

pick:                               # s10: any block of the lane
    slli t0, s3, 13
    xor  s3, s3, t0
    srli t0, s3, 7
    xor  s3, s3, t0
    slli t0, s3, 17
    xor  s3, s3, t0
    srli t0, s3, 20
    li   t1, ${LANE_BLOCKS - 1}
    and  s10, t0, t1
    ret

transfer:                           # a7: which call, s10: block in the lane
    mv   a0, s4
    mv   a1, s5
    li   a2, ${BLOCK_SIZE}
    add  a3, s9, s10
    slli a3, a3, 12
    ecall
    li   t0, ${BLOCK_SIZE}
    bne  a0, t0, failed
    ret

first:                              # t3: the first word behind the stamp, t4: the step
    add  t5, s9, s10
    li   t3, ${A}
    mul  t3, t3, s11
    li   t4, ${B}
    mul  t4, t4, t5
    add  t3, t3, t4
    li   t4, ${C}
    li   t0, ${STAMP_WORDS}
    mul  t0, t0, t4
    add  t3, t3, t0
    ret

fill:                               # the buffer, for write s11 to block s10
    mv   a5, ra
    jal  ra, first
    li   t0, ${BLOCK_MAGIC}
    sd   t0, 0(s5)
    sw   s0, 8(s5)
    sw   t5, 12(s5)
    sd   s11, 16(s5)
    sd   s2, 24(s5)
    addi t1, s5, ${STAMP_SIZE}
    li   t2, ${BLOCK_SIZE}
    add  t2, t2, s5
fillword:
    sd   t3, 0(t1)
    add  t3, t3, t4
    addi t1, t1, 8
    bne  t1, t2, fillword
    jr   a5

look:                               # reads block s10 and compares, if it was ever written
    slli t0, s10, 3
    add  t0, t0, s6
    ld   s11, 0(t0)
    beqz s11, nothing
    mv   a6, ra
    sd   zero, 16(s5)
    li   a7, 67                     # pread64
    jal  ra, transfer
    ld   t0, 16(s7)
    addi t0, t0, 1
    sd   t0, 16(s7)
    jal  ra, first
    ld   t0, 16(s5)
    bne  t0, s11, differs
    lwu  t0, 8(s5)
    bne  t0, s0, differs
    lwu  t0, 12(s5)
    bne  t0, t5, differs
    addi t1, s5, ${STAMP_SIZE}
    li   t2, ${BLOCK_SIZE}
    add  t2, t2, s5
compare:
    ld   t0, 0(t1)
    bne  t0, t3, differs
    add  t3, t3, t4
    addi t1, t1, 8
    bne  t1, t2, compare
    jr   a6
differs:
    ld   t0, 32(s7)
    addi t0, t0, 1
    sd   t0, 32(s7)
    jr   a6
nothing:
    ret

path: .dword 0x6164762f7665642f, 0  # "/dev/vda"
`;

/** The program, as a file. */
export function workload(): Uint8Array {
  const { code } = assemble(SOURCE, BigInt(TEXT + CODE_OFFSET));
  return executable({ at: TEXT, code, zeroed: { at: BUFFER, size: END - BUFFER } });
}

export interface LaneReport {
  readonly writes: number;
  readonly reads: number;
  readonly flushes: number;
  /** Blocks that did not hold what was written. */
  readonly differing: number;
  /** System calls that failed, and why the last one did: an errno. */
  readonly failed: number;
  readonly errno: number;
  readonly isLast: boolean;
}

/** Undefined: that is none. */
export function parseReport(bytes: Uint8Array): LaneReport | undefined {
  if (bytes.length !== REPORT_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getBigUint64(0, true) !== REPORT_MAGIC) return undefined;
  const word = (at: number): number => Number(view.getBigUint64(at, true));
  return {
    writes: word(0x08),
    reads: word(0x10),
    flushes: word(0x18),
    differing: word(0x20),
    failed: word(0x28),
    errno: word(0x30),
    isLast: word(0x38) === 1,
  };
}

/** Whether a block holds all that write `number` puts there. `index`: from the disk's beginning. */
export function isAsWritten(block: Uint8Array, index: number, number: number): boolean {
  const words = new BigUint64Array(block.slice().buffer);
  let wanted = BigInt(number) * A + BigInt(index) * B + BigInt(STAMP_WORDS) * C;
  for (let i = STAMP_WORDS; i < WORDS; i++) {
    if (words[i] !== BigInt.asUintN(64, wanted)) return false;
    wanted += C;
  }
  return true;
}
