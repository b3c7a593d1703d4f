/** The SBI: every extension, with every hart's number and its edges. */
import { RAM_START } from '../../partition/address-space.js';
import { label, record, routine } from './assembly.js';
import { ASK, PLAYGROUND } from './layout.js';

export interface Call {
  readonly extension: bigint;
  readonly fn: bigint;
  readonly args: readonly bigint[];
}

/** Doublewords of a call in the table: extension, function, a0 … a5. */
const CALL_SIZE = 64;

const KNOWN = {
  BASE: 0x10n,
  TIME: 0x54494d45n,
  IPI: 0x735049n,
  RFENCE: 0x52464e43n,
  HSM: 0x48534dn,
  SRST: 0x53525354n,
  DBCN: 0x4442434en,
};
const OTHERS = {
  ...{ SUSP: 0x53555350n, CPPC: 0x43505043n, NACL: 0x4e41434cn, STA: 0x535441n, PMU: 0x504d55n, SSE: 0x535345n },
  ...{ FWFT: 0x46574654n, DBTR: 0x44425452n, MPXY: 0x4d505859n, experimental: 0x0800_0000n, vendor: 0x0900_0000n },
  firmware: 0x0a00_0000n,
};
const LEGACY = Array.from({ length: 16 }, (_, i) => BigInt(i));
/** Ids that differ from those that exist in what a comparison of too few bits does not see. */
const ALMOST = Object.values(KNOWN).flatMap((id) => [id | (1n << 32n), id | (1n << 63n), id + (1n << 60n)]);

/** Deterministic random numbers (xorshift64), the same for every prober. */
function* random(): Generator<bigint> {
  for (let x = 0x2545f4914f6cdd1dn; ;) {
    x ^= BigInt.asUintN(64, x << 13n);
    x ^= x >> 7n;
    x ^= BigInt.asUintN(64, x << 17n);
    yield x;
  }
}

/** Hart numbers: all that a small computer may have, and edges. */
export const HARTS: readonly bigint[] = [
  ...Array.from({ length: 70 }, (_, id) => BigInt(id)),
  ...[
    127n,
    128n,
    255n,
    256n,
    4095n,
    4096n,
    65_535n,
    2n ** 31n,
    2n ** 32n,
    2n ** 32n + 1n,
    2n ** 53n,
    2n ** 63n,
    -2n,
    -1n,
  ],
];
const MASKS = [0n, 1n, 2n, 3n, 4n, 1n << 31n, 1n << 32n, 1n << 63n, -1n];
const BASES = [0n, 1n, 2n, 63n, 64n, 2n ** 32n, 2n ** 63n, -2n, -1n];
/** Where there is no code to begin with: below memory, device registers, 4 GiB up, odd. */
const NOWHERE = [
  0n,
  0x1000n,
  0x0c00_0000n,
  BigInt(RAM_START) - 4n,
  BigInt(RAM_START) + 1n,
  2n ** 32n + BigInt(RAM_START),
  2n ** 56n,
  -2n,
];
const RANGES = [
  [0n, 0n],
  [0n, -1n],
  [-1n, -1n],
  [-4096n, 4096n],
  [-4096n, 8192n],
  [-1n, 2n],
  [2n ** 63n, 2n ** 63n],
  [2n ** 63n, 2n ** 63n + 1n],
];
const RESERVED_TYPES = [3n, 0xefff_ffffn, 0xf000_0000n, 2n ** 32n - 1n];
const RESERVED_REASONS = [2n, 0xdfff_ffffn, 0xe000_0000n, 2n ** 32n - 1n];

/** What is asked. What would end, stop or reset whoever asks is asked in ways that must be refused. */
export function calls(): Call[] {
  const list: Call[] = [];
  const ask = (extension: bigint, fn: bigint, ...args: readonly bigint[]): void =>
    void list.push({ extension, fn, args });
  const { BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN } = KNOWN;
  const numbers = random();
  const next = (): bigint => numbers.next().value as bigint;
  const foreign = [...Object.values(OTHERS), ...LEGACY, ...ALMOST, ...Array.from({ length: 100 }, () => next() >> 33n)];
  for (const extension of [...Object.values(KNOWN), ...foreign]) ask(BASE, 3n, extension);
  for (const fn of [0n, 1n, 2n, 4n, 5n, 6n, 7n, 8n, 2n ** 32n, -1n]) ask(BASE, fn);
  for (const extension of foreign) for (const fn of [0n, 1n, 2n, 7n]) ask(extension, fn, 0n, 0n, 0n);
  ask(TIME, 0n, -1n);
  for (const extension of [TIME, IPI, SRST]) for (const fn of [1n, 2n, 2n ** 32n, -1n]) ask(extension, fn, -1n);
  for (const base of BASES) for (const mask of MASKS) ask(IPI, 0n, mask, base);
  for (const fn of [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]) {
    for (const base of BASES) for (const mask of MASKS) ask(RFENCE, fn, mask, base, 0n, -1n);
    for (const [start, size] of RANGES) ask(RFENCE, fn, 1n, 0n, start, size);
  }
  for (const hart of HARTS) {
    for (const address of NOWHERE) ask(HSM, 0n, hart, address, 0n);
    ask(HSM, 2n, hart);
    ask(IPI, 0n, 1n, hart);
  }
  for (const type of [1n, 0x7fff_ffffn, 0xffff_ffffn]) ask(HSM, 3n, type, 0n, 0n);
  for (const fn of [4n, 5n, 2n ** 32n, -1n]) ask(HSM, fn);
  for (const type of RESERVED_TYPES) ask(SRST, 0n, type, 0n);
  for (const reason of RESERVED_REASONS) for (const type of [0n, 1n, 2n]) ask(SRST, 0n, type, reason);
  for (const fn of [0n, 1n]) {
    for (const address of NOWHERE) ask(DBCN, fn, 16n, address, 0n);
    ask(DBCN, fn, 16n, BigInt(PLAYGROUND), 1n);
    ask(DBCN, fn, 2n ** 40n, BigInt(PLAYGROUND), 0n);
    ask(DBCN, fn, -1n, BigInt(PLAYGROUND), 0n);
    ask(DBCN, fn, 0n, 0n, 0n);
  }
  ask(DBCN, 1n, 16n, BigInt(PLAYGROUND), 0n);
  for (const fn of [3n, 4n, 2n ** 32n, -1n]) ask(DBCN, fn);
  return list;
}

/** The calls as a table of the image. */
export function callTable(): Uint8Array {
  const list = calls();
  const bytes = new Uint8Array(CALL_SIZE * list.length);
  const view = new DataView(bytes.buffer);
  list.forEach(({ extension, fn, args }, i) =>
    [extension, fn, ...args].forEach((value, n) =>
      view.setBigInt64(CALL_SIZE * i + 8 * n, BigInt.asIntN(64, value), true),
    ),
  );
  return bytes;
}

/** Bits of `what`: interrupts that are pending afterwards, and whether other registers than a0 and a1 have changed. */
export const CHANGED = 1 << 12;

const KEPT = [
  'a2',
  'a3',
  'a4',
  'a5',
  'a6',
  'a7',
  's2',
  's3',
  's4',
  's5',
  's6',
  's7',
  't0',
  't1',
  't2',
  't3',
  't4',
  't5',
  't6',
];
const sum = (into: string): string =>
  `mv ${into}, sp\n${KEPT.map((name) => `xor ${into}, ${into}, ${name}`).join('\n')}`;

/** Harts that exist are started, at code that stops them again; others are not there. */
const HARTS_START = (): string => {
  const [wait, next, over] = ['wait', 'next', 'over'].map((name) => label(name));
  return `
  li s0, 1
${next}:
  mv a0, s0; la a1, calls.stopper; li a2, 0; li a6, 0; li a7, ${KNOWN.HSM}; ecall
  mv s1, a0; li s2, 1; li s3, 0
  bnez s1, ${over}
${wait}:
  mv a0, s0; li a6, 2; li a7, ${KNOWN.HSM}; ecall
  mv s3, a1; li t0, 1; bne s3, t0, ${wait}
${over}:
  ${record(ASK.sbi, 's2', 's0', 's1', 's3')}
  addi s0, s0, 1; li t0, 70; blt s0, t0, ${next}`;
};

export const sbiCalls = (table: number): string => {
  const count = calls().length;
  return `
calls.stopper:
  li a7, ${KNOWN.HSM}; li a6, 1; ecall
  j calls.stopper
${routine(
  'calls',
  `
  li s0, 0
calls.next:
  slli t0, s0, 6; li t1, ${table}; add t1, t1, t0
  ld a7, (t1); ld a6, 8(t1)
  ${[0, 1, 2, 3, 4, 5].map((i) => `ld a${i}, ${16 + 8 * i}(t1)`).join('; ')}
  ${sum('s1')}
  ecall
  ${sum('s10')}
  mv s3, a0; mv s4, a1
  csrr t0, sip; csrci sip, 2
  beq s1, s10, calls.kept
  li t1, ${CHANGED}; or t0, t0, t1
calls.kept:
  slli s2, t0, 1
  ${record(ASK.sbi, 's2', 's0', 's3', 's4')}
  addi s0, s0, 1; li t0, ${count}; blt s0, t0, calls.next
  ${HARTS_START()}
  li a0, 46; li a7, ${KNOWN.DBCN}; li a6, 2; ecall
  mv s3, a0; mv s4, a1; li s2, 3; li s0, 0
  ${record(ASK.sbi, 's2', 's0', 's3', 's4')}`,
)}`;
};
