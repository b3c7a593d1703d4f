/** The PLIC: every source, every context, enabled and not, threshold and claim; an interrupt by way of the clock's alarm. */
import { PLIC_BASE } from '../../computer/plic/plic.js';
import { RTC_BASE, RTC_INTERRUPT } from '../../computer/rtc.js';
import { attempt, each, label, recordChange, record, routine } from './assembly.js';
import { ASK } from './layout.js';

const ENABLE = PLIC_BASE + 0x2000;
const CONTEXTS = PLIC_BASE + 0x20_0000;
/** As many as the memory map has room for by its specification; those of a computer are the first few. */
const ALL_SOURCES = 1024;
const SOME_CONTEXTS = 72;

/** Values of an access that was refused are its stval. */
const read = (width: number): string => {
  const on = label('read');
  return `mv a1, s0; ${attempt(`op.load${width}`)}; li t0, -1; beq s9, t0, ${on}; sub a0, s8, s0\n${on}:`;
};
const write = (width: number, value: string): string => `li a0, ${value}; mv a1, s0; ${attempt(`op.store${width}`)}`;

/** Writes, reads back, clears. `what` tells the widths apart. */
const writeAndRead = (width: number): string => `
  ${write(width, '-1')}
  ${read(width)}
  li s1, ${width}; mv s2, a0
  ${recordChange(ASK.plic, 's1', 's0', 's9', 's2')}
  ${write(2, '0')}`;

const registersOf = (from: number, count: number, step: number): string => `
  ${[2, 0, 1, 3].map((width) => `jal ra, forget\n${each('s0', from, from + count * step, step, writeAndRead(width))}`).join('\n')}`;

/** The bits of sip, and what context 0 claims. */
const pending = (what: number): string => `
  csrr s2, sip
  li s0, ${CONTEXTS + 4}; lwu s3, (s0)
  li s1, ${what}
  ${record(ASK.interrupt, 's1', 's3', 's2', 's3')}`;

const put = (address: number, value: number): string => `li t0, ${address}; li t1, ${value}; sw t1, (t0)`;

/** The alarm of a moment that has passed rings at once: each step of it is told. */
const ALARM = [
  put(RTC_BASE + 0x14, 1),
  put(RTC_BASE + 0x1c, 1),
  put(PLIC_BASE + 4 * RTC_INTERRUPT, 1),
  put(ENABLE, 1 << RTC_INTERRUPT),
  pending(0),
  put(RTC_BASE + 0x10, 1),
  put(RTC_BASE + 0x0c, 0),
  put(RTC_BASE + 0x08, 0),
  'csrr s2, sip; li s0, 0; li s1, 1',
  record(ASK.interrupt, 's1', 's0', 's2', 's0'),
  pending(2),
  pending(3),
  // Completed while the line is high it comes again; with the line low it does not.
  put(CONTEXTS + 4, RTC_INTERRUPT),
  pending(4),
  put(RTC_BASE + 0x1c, 1),
  put(CONTEXTS + 4, RTC_INTERRUPT),
  pending(5),
  // A threshold as high as its priority keeps it from the hart, not from who claims.
  put(CONTEXTS, 1),
  put(RTC_BASE + 0x08, 0),
  pending(6),
  put(RTC_BASE + 0x1c, 1),
  put(CONTEXTS + 4, RTC_INTERRUPT),
  put(RTC_BASE + 0x10, 0),
  put(CONTEXTS, 0),
  put(ENABLE, 0),
  put(PLIC_BASE + 4 * RTC_INTERRUPT, 0),
].join('\n');

/** What devices have asked for so far is claimed, source by source. */
const CLAIM_ALL = `
  ${each('s0', PLIC_BASE + 4, PLIC_BASE + 4 * 96, 4, 'li t1, 1; sw t1, (s0)')}
  ${[0, 4, 8].map((at) => put(ENABLE + at, -1)).join('\n')}
  li s4, 200
claims.next:
  li s0, ${CONTEXTS + 4}; lwu s3, (s0); li s1, 7; li s2, 0
  ${record(ASK.interrupt, 's1', 's0', 's2', 's3')}
  li s0, ${CONTEXTS + 4}; sw s3, (s0)
  addi s4, s4, -1; blez s4, claims.out
  bnez s3, claims.next
claims.out:
  ${[0, 4, 8].map((at) => put(ENABLE + at, 0)).join('\n')}
  ${each('s0', PLIC_BASE + 4, PLIC_BASE + 4 * 96, 4, 'sw x0, (s0)')}`;

export const interrupts = (): string =>
  [
    routine('claims', CLAIM_ALL),
    routine(
      'interrupts',
      `
  ${registersOf(PLIC_BASE, ALL_SOURCES, 4)}
  ${registersOf(PLIC_BASE + 0x1000, ALL_SOURCES / 32, 4)}
  ${registersOf(ENABLE, (SOME_CONTEXTS * 0x80) / 4, 4)}
  ${[0, 4, 8, 0xffc].map((at) => `jal ra, forget\n${each('s0', CONTEXTS + at, CONTEXTS + SOME_CONTEXTS * 0x1000, 0x1000, writeAndRead(2))}`).join('\n')}
  ${ALARM}`,
    ),
  ].join('\n');
