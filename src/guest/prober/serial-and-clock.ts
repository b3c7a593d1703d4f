/** The serial port, register by register; the clocks, of whose values only what does not depend on the moment is told. */
import { RTC_BASE } from '../../computer/rtc.js';
import { UART_BASE } from '../../computer/uart.js';
import { attempt, each, label, record, recordChange, routine } from './assembly.js';
import { ASK } from './layout.js';

const read = (width: number): string => {
  const on = label('read');
  return `mv a1, s0; ${attempt(`op.load${width}`)}; li t0, -1; beq s9, t0, ${on}; sub a0, s8, s0\n${on}: mv s2, a0`;
};
const put = (width: 'b' | 'w', address: number, value: number): string =>
  `li t0, ${address}; li t1, ${value}; s${width} t1, (t0)`;

/** All registers of the port as they are now, in every width. */
const port = (what: number): string =>
  each(
    's0',
    UART_BASE,
    UART_BASE + 8,
    1,
    [0, 1, 2]
      .map((width) => `${read(width)}\nli s1, ${16 * what + width}\n${record(ASK.uart, 's1', 's0', 's9', 's2')}`)
      .join('\n'),
  );
const setPort = (register: number, value: number): string => put('b', UART_BASE + register, value);
/** As after a reset: no interrupts, no loop, empty. */
const RESET_PORT = [
  [3, 0],
  [1, 0],
  [4, 0],
  [2, 2],
  [2, 0],
  [7, 0],
  [3, 0x80],
  [0, 0],
  [1, 0],
  [3, 0],
]
  .map(([register, value]) => setPort(register, value))
  .join('\n');

const SERIAL = `
  ${RESET_PORT}
  ${port(0)}
  ${[
    // Everything that a register keeps.
    [7, 0xff],
    [4, 0x1f],
    [3, 0x7f],
    [2, 0xfd],
  ]
    .map(([register, value]) => setPort(register, value))
    .join('\n')}
  ${port(1)}
  ${setPort(3, 0x80)}
  ${setPort(0, 0xa5)}
  ${setPort(1, 0x5a)}
  ${port(2)}
  ${setPort(3, 0)}
  ${setPort(4, 0x10)}
  ${setPort(0, 0x41)}
  ${setPort(0, 0x42)}
  ${port(3)}
  ${setPort(2, 2)}
  ${port(4)}
  ${RESET_PORT}
  jal ra, forget
  ${each('s0', UART_BASE + 8, UART_BASE + 0x110, 1, `${read(2)}\nli s1, 100\n${recordChange(ASK.uart, 's1', 's0', 's9', 's2')}`)}`;

/** A day's nanoseconds since 1970, for the clock to be set to: 2021. */
const MOMENT = 1_609_459_200_000_000_000n;
/** Later than that by less than this (ns) is the same for who tells no moments. */
const SOON = 3600n * 1_000_000_000n;

const told = (what: number, value: string): string => `
  li s1, ${what}; li s0, 0; li s2, -1; mv s3, ${value}
  ${record(ASK.clock, 's1', 's0', 's2', 's3')}`;

/** The clock's time in a0. */
const NOW = `li t0, ${RTC_BASE}; lwu a0, (t0); lwu t1, 4(t0); slli t1, t1, 32; or a0, a0, t1`;

/** Whether a counter never goes back in so many looks, and gets on. */
const counts = (csr: string, what: number): string => {
  const [again, bad, out] = ['again', 'bad', 'out'].map((name) => label(name));
  return `
  li t2, 1000; csrr t0, ${csr}; mv t3, t0
${again}:
  csrr t1, ${csr}; bltu t1, t0, ${bad}; mv t0, t1; addi t2, t2, -1; bgtz t2, ${again}
  sltu t4, t3, t0
  j ${out}
${bad}:
  li t4, 2
${out}:
  ${told(what, 't4')}`;
};

/** Whatever day it is, it is later than that. */
const CLOCK_AT_BOOT = `
  ${NOW}
  li t2, ${MOMENT}; sltu t3, t2, a0
  ${told(0, 't3')}`;

const CLOCK = `
  ${put('w', RTC_BASE + 4, Number(MOMENT >> 32n))}
  ${put('w', RTC_BASE, Number(MOMENT & 0xffff_ffffn))}
  ${NOW}
  li t2, ${MOMENT}; sub a0, a0, t2; li t2, ${SOON}; sltu t3, a0, t2
  ${told(1, 't3')}
  ${each('s0', RTC_BASE + 8, RTC_BASE + 0x24, 4, [2, 0, 1, 3].map((width) => `${read(width)}\nli s1, ${16 + width}\n${record(ASK.clock, 's1', 's0', 's9', 's2')}`).join('\n'))}
  ${put('w', RTC_BASE + 0x0c, 0x7fff_ffff)}
  ${put('w', RTC_BASE + 0x08, -1)}
  ${put('w', RTC_BASE + 0x10, -1)}
  ${each('s0', RTC_BASE + 8, RTC_BASE + 0x24, 4, `${read(2)}\nli s1, 20\n${record(ASK.clock, 's1', 's0', 's9', 's2')}`)}
  ${put('w', RTC_BASE + 0x14, 1)}
  ${put('w', RTC_BASE + 0x10, 0)}
  ${each('s0', RTC_BASE + 8, RTC_BASE + 0x24, 4, `${read(2)}\nli s1, 21\n${record(ASK.clock, 's1', 's0', 's9', 's2')}`)}
  jal ra, forget
  ${each('s0', RTC_BASE + 0x24, RTC_BASE + 0x1010, 4, `${read(2)}\nli s1, 22\n${recordChange(ASK.clock, 's1', 's0', 's9', 's2')}`)}
  ${counts('cycle', 32)}
  ${counts('time', 33)}
  ${counts('instret', 34)}
  li t0, 32; csrw sie, t0
  csrr t0, time; csrw stimecmp, t0; csrr t1, sip
  ${told(35, 't1')}
  li t0, -1; csrw stimecmp, t0; csrr t1, sip
  ${told(36, 't1')}
  csrw stimecmp, x0; csrr t1, sip
  ${told(37, 't1')}
  li t0, -1; csrw stimecmp, t0
  csrr t0, time; li t1, 10000; add t0, t0, t1; csrw stimecmp, t0
  wfi
  csrr t1, sip
  ${told(38, 't1')}
  li t0, -1; csrw stimecmp, t0; csrw sie, x0`;

export const serialAndClock = (): string =>
  [routine('serial', SERIAL), routine('clockAtBoot', CLOCK_AT_BOOT), routine('clock', CLOCK)].join('\n');
