/**
 * Devices are programmed to reach everywhere: each in turn has a buffer, a table of descriptors, a driver and a device area at
 * places that are not its guest's. What it comes to is told: that it was done, that the device needs a reset, or nothing.
 */
import { RAM_START } from '../../partition/address-space.js';
import { barOf, configOf } from './bus.js';
import { each, record, routine } from './assembly.js';
import { ASK, PLAYGROUND, QUEUES } from './layout.js';

const DESC = QUEUES;
const AVAIL = QUEUES + 0x1000;
const USED = QUEUES + 0x2000;
const HEADER = QUEUES + 0x3000;
const STATUS = QUEUES + 0x3100;
const QUEUE_SIZE = 4;
const SLOTS = 32;
const NEXT = 1;
const WRITE = 2;
/** A device that has done nothing by then (ticks of 100 ns) does nothing: that is an answer too, and should not come. */
const PATIENCE = 100_000_000;
const DONE = 1;
const NEEDS_RESET = 64;

/** Where a device is sent: its guest's memory first, then below and beyond it, registers, 4 GiB up, and further. */
export const TARGETS: readonly bigint[] = [
  BigInt(PLAYGROUND),
  ...[0x0n, 0x1000n, 0x10_1000n, 0x0c00_0000n, 0x1000_0000n, 0x3000_0000n, 0x3000_8000n, 0x4000_0000n, 0x4001_0000n],
  ...[BigInt(RAM_START) - 4096n, BigInt(RAM_START) - 512n],
  ...[1n, 16n, 24n, 32n, 64n, 128n, 256n, 512n, 1024n, 1536n, 2044n].map(
    (mib) => BigInt(RAM_START) + (mib << 20n) + (1n << 31n),
  ),
  ...[32n, 33n, 40n, 48n, 52n, 53n, 56n, 63n].map((bit) => (1n << bit) + BigInt(PLAYGROUND)),
  ...[0xffff_f000n, 2n ** 64n - 4096n, 2n ** 63n],
];
/** What of a queue lies there. */
export const PARTS = ['buffer', 'descriptors', 'driver area', 'device area'] as const;

/** PCI device ids that are asked, with the queue, and what is in the chain: buffers [where, length, flags]; undefined is the target. */
const DEVICES: readonly {
  id: number;
  queue: number;
  chain: readonly (readonly [number | undefined, number, number])[];
}[] = [
  { id: 0x1041, queue: 1, chain: [[undefined, 80, 0]] },
  {
    id: 0x1042,
    queue: 0,
    chain: [
      [HEADER, 16, 0],
      [undefined, 512, WRITE],
      [STATUS, 1, WRITE],
    ],
  },
  { id: 0x1043, queue: 1, chain: [[undefined, 16, 0]] },
  { id: 0x1044, queue: 0, chain: [[undefined, 16, WRITE]] },
  // Numbers of pages that go into the balloon: in its own memory there lie zeroes, and no page has that number.
  { id: 0x1045, queue: 0, chain: [[undefined, 16, 0]] },
];

const registers = (area: string, at: number): string =>
  `sw ${area}, ${at}(s4); srli t0, ${area}, 32; sw t0, ${at + 4}(s4)`;

/** s3 is the target, s6 which part lies there, s4 the BAR: answers what came of it in a0. */
const attemptOf = ({ id, queue, chain }: (typeof DEVICES)[number]): string => {
  const name = `dma.${id.toString(16)}`;
  const choose = (part: number, register: string, own: number): string =>
    `li ${register}, ${own}; li t0, ${part}; bne s6, t0, ${name}.own${part}; mv ${register}, s3\n${name}.own${part}:`;
  return routine(
    name,
    `
  li t1, ${AVAIL}; sw x0, (t1); sw x0, 4(t1); li t0, 1; sh t0, (t1); sh t0, 2(t1)
  li t1, ${USED}; sd x0, (t1); sd x0, 8(t1)
  li t1, ${HEADER}; sd x0, (t1); sd x0, 8(t1)
  li t1, ${STATUS}; li t0, 0xee; sb t0, (t1)
  li t1, ${PLAYGROUND}; sd x0, (t1); sd x0, 8(t1)
  ${choose(0, 't2', PLAYGROUND)}
  ${chain
    .map(([where, length, flags], i) => {
      const last = i === chain.length - 1;
      const rest = length + (flags | (last ? 0 : NEXT)) * 2 ** 32 + (last ? 0 : i + 1) * 2 ** 48;
      return `li t1, ${DESC + 16 * i}; ${where === undefined ? 'mv t3, t2' : `li t3, ${where}`}; sd t3, (t1); li t3, ${rest}; sd t3, 8(t1)`;
    })
    .join('\n')}
  ${[0, 1, 3].map((status) => `li t0, ${status}; sb t0, 0x14(s4)`).join('\n')}
  li t0, 1; sw x0, 8(s4); sw x0, 12(s4); sw t0, 8(s4); sw t0, 12(s4)
  li t0, 11; sb t0, 0x14(s4)
  li t0, ${queue}; sh t0, 0x16(s4)
  li t0, ${QUEUE_SIZE}; sh t0, 0x18(s4)
  ${choose(1, 't2', DESC)}
  ${registers('t2', 0x20)}
  ${choose(2, 't2', AVAIL)}
  ${registers('t2', 0x28)}
  ${choose(3, 't2', USED)}
  ${registers('t2', 0x30)}
  li t0, 1; sh t0, 0x1c(s4)
  li t0, 15; sb t0, 0x14(s4)
  fence
  li t0, 0x800; add t1, s4, t0; li t0, ${queue}; sh t0, ${4 * queue}(t1)
  csrr t2, time; li t0, ${PATIENCE}; add t2, t2, t0
${name}.wait:
  lbu a0, 0x14(s4); andi a0, a0, ${NEEDS_RESET}; bnez a0, ${name}.over
  li t1, ${USED}; lhu t0, 2(t1); bnez t0, ${name}.done
  csrr t0, time; bltu t0, t2, ${name}.wait
  j ${name}.over
${name}.done:
  li a0, ${DONE}
${name}.over:
  sb x0, 0x14(s4)
${name}.reset:
  lbu t0, 0x14(s4); bnez t0, ${name}.reset
  li t1, ${STATUS}; lbu a1, (t1)`,
  );
};

/** The table of targets. */
export function targetTable(): Uint8Array {
  const bytes = new Uint8Array(8 * TARGETS.length);
  const view = new DataView(bytes.buffer);
  TARGETS.forEach((target, i) => view.setBigUint64(8 * i, target, true));
  return bytes;
}

export const dma = (table: number): string =>
  [
    ...DEVICES.map(attemptOf),
    routine(
      'dma',
      each(
        's5',
        0,
        SLOTS,
        1,
        `
  ${configOf('s5', 's0')}
  lhu t1, (s0); li t0, 0x1af4; bne t1, t0, dma.next
  lhu s7, 2(s0)
  ${barOf('s5', 's4')}
  sw s4, 0x10(s0); li t0, 6; sh t0, 4(s0)
  ${each(
    's6',
    0,
    PARTS.length,
    1,
    each(
      's10',
      0,
      TARGETS.length,
      1,
      `
  # In its own memory a buffer is all that is tried: there is nothing to be seen in rings of zeroes.
  bnez s10, dma.foreign; bnez s6, dma.another
dma.foreign:
  slli t0, s10, 3; li t1, ${table}; add t1, t1, t0; ld s3, (t1)
  ${DEVICES.map(({ id }) => `li t0, ${id}; bne s7, t0, dma.not${id}; jal ra, dma.${id.toString(16)}; j dma.told\ndma.not${id}:`).join('\n')}
  j dma.next
dma.told:
  mv s1, s6; mv s2, a0; mv s8, a1
  slli s1, s1, 8; or s1, s1, s5
  ${record(ASK.dma, 's1', 's3', 's2', 's8')}
dma.another:`,
    ),
  )}
  ${configOf('s5', 's0')}
  sh x0, 4(s0); sw x0, 0x10(s0)
dma.next:`,
      ),
    ),
  ].join('\n');
