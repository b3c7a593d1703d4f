/**
 * How the prober's code is written. Everywhere:
 *
 *   s11  where the next record goes          s9  cause of the last exception, -1: none
 *   s8   stval of the last exception         sp  stack
 *
 * An instruction that may trap is a function of its own: `trap` returns to its caller, whatever it was. t registers are
 * nobody's, others those of the routine that names them.
 */
import { CONTROL, LAST, TRANSCRIPT, TRANSCRIPT_SIZE } from './layout.js';

let labels = 0;
/** A label that nobody else has. */
export const label = (name: string): string => `${name}.${labels++}`;

/** Calls a function that may trap; s9 is its cause then. */
export const attempt = (name: string): string => `li s9, -1; jal ra, ${name}`;

/** Records an answer: `what` of an ASK, `where`, cause and value in registers. */
export const record = (ask: number, what: string, where: string, cause: string, value: string): string => `
  slli a2, ${what}, 8; ori a2, a2, ${ask}
  mv a3, ${where}; mv a4, ${cause}; mv a5, ${value}
  jal ra, record`;

/** As `record`, unless the one before was the same in all but `where`. */
export const recordChange = (ask: number, what: string, where: string, cause: string, value: string): string => `
  slli a2, ${what}, 8; ori a2, a2, ${ask}
  mv a3, ${where}; mv a4, ${cause}; mv a5, ${value}
  jal ra, recordChange`;

/** A routine that calls others. */
export const routine = (name: string, body: string): string => `
${name}:
  addi sp, sp, -16; sd ra, (sp)
  ${body}
  ld ra, (sp); addi sp, sp, 16
  ret`;

/** Does `body` for each number from `from` in steps of `step` while it is below `to`; the number is in `register`. */
export function each(register: string, from: number, to: number, step: number, body: string): string {
  const [again, over] = [label('again'), label('over')];
  return `
  li ${register}, ${from}
${again}:
  li t0, ${to}; blt ${register}, t0, ${again}.in; j ${over}
${again}.in:
  ${body}
  li t0, ${step}; add ${register}, ${register}, t0
  j ${again}
${over}:`;
}

export const RUNTIME = `
.align 2
trap:
  csrr s9, scause; csrr s8, stval; csrw sepc, ra
  li t6, 0x100; csrs sstatus, t6
  sret

record:
  li t5, ${TRANSCRIPT + TRANSCRIPT_SIZE}; bgeu s11, t5, record.full
  sd a2, (s11); sd a3, 8(s11); sd a4, 16(s11); sd a5, 24(s11)
  addi s11, s11, 32
record.full:
  ret

recordChange:
  li t4, ${CONTROL + LAST}
  ld t5, (t4); bne t5, a2, recordChange.new
  ld t5, 8(t4); bne t5, a4, recordChange.new
  ld t5, 16(t4); bne t5, a5, recordChange.new
  ret
recordChange.new:
  sd a2, (t4); sd a4, 8(t4); sd a5, 16(t4)
  j record

# What was told last is forgotten: the next record is a change.
forget:
  li t4, ${CONTROL + LAST}; sd x0, (t4)
  ret

op.load0: lbu a0, (a1); ret
op.load1: lhu a0, (a1); ret
op.load2: lwu a0, (a1); ret
op.load3: ld a0, (a1); ret
op.store0: sb a0, (a1); ret
op.store1: sh a0, (a1); ret
op.store2: sw a0, (a1); ret
op.store3: sd a0, (a1); ret
op.jump: jr a1
op.lr2: lr.w a0, (a1); ret
op.lr3: lr.d a0, (a1); ret
op.sc2: sc.w a0, a6, (a1); ret
op.sc3: sc.d a0, a6, (a1); ret
op.swap2: amoswap.w a0, a6, (a1); ret
op.add3: amoadd.d a0, a6, (a1); ret
op.max3: amomaxu.d a0, a6, (a1); ret
op.zero: cbo.zero (a1); ret
# From a1 on, as far as there is memory: the first doubleword that is not zero.
op.scan: ld a0, (a1); addi a1, a1, 8; beqz a0, op.scan; ret
`;

/** The kinds of accesses at an address, in the order in which they are made; `what` of an ASK.access. */
export const ACCESSES = [
  ...['lb', 'lh', 'lw', 'ld', 'sb', 'sh', 'sw', 'sd', 'fetch', 'lr.w', 'sc.w', 'lr.d', 'sc.d'],
  ...['amoswap.w', 'amoadd.d', 'amomaxu.d', 'cbo.zero', 'ld + 1', 'sd + 1', 'amoadd.d + 4'],
] as const;
