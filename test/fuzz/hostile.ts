/**
 * A guest that does everything at random: what it is made of comes out of a seed, what it does with it out of a generator
 * of its own. Gadgets, each a few instructions with random operands, follow one another; a trap handler goes on after
 * whatever traps, and a timer ends what would not end.
 */
import type { Random } from '../../src/hart/testing/random.js';
import {
  BareGuest,
  enable,
  fill,
  FREE,
  F_INDIRECT,
  F_WRITE,
  register,
  ROUNDS,
  SBI,
  start,
  type Buffer,
  type Queue,
} from '../hostile/bare-guest.js';
import { chaosWord } from './chaos.js';

/** Bytes of its memory. */
export const MEMORY = 32 * 2 ** 20;
const END = 0x8000_0000 + MEMORY;
/** A slice of a gadget (ticks of 100 ns). */
const SLICE = 3000;
const CHAOS_WORDS = 96;
const CHAOS_BLOCKS = 12;
/** Virtual: memory again for user mode, and 2 MiB whose table is scribbled into. */
const FOR_USERS = 0xc000_0000;
const LOOSE = 0x1_0000_0000;
const [V, RWX, U, AD] = [1, 0xe, 0x10, 0xc0];

/** By PCI device id: slot, queue, size. A disk and a card are there if they were given to it. */
const DEVICES = [
  { slot: 1, index: 1, size: 32 },
  { slot: 2, index: 0, size: 8 },
  { slot: 3, index: 0, size: 128 },
  { slot: 4, index: 1, size: 256 },
  { slot: 4, index: 0, size: 256 },
] as const;

/** Registers of the gadgets: s10 is the area of the hart, s11 the table of places. */
const rnd = (to: string): string => `
  ld ${to}, (s10); slli t6, ${to}, 13; xor ${to}, ${to}, t6; srli t6, ${to}, 7; xor ${to}, ${to}, t6
  slli t6, ${to}, 17; xor ${to}, ${to}, t6; sd ${to}, (s10)`;
/** One of 64 places, and something within its page most of the time. */
const place = (to: string): string => `
  ${rnd(to)}
  andi t5, ${to}, 504; add t5, t5, s11; ld t5, (t5)
  srli ${to}, ${to}, 20; andi ${to}, ${to}, 2047; add ${to}, ${to}, t5`;

let names = 0;
const unique = (name: string): string => `${name}.${names++}`;
const repeat = (count: number, body: string): string => {
  const again = unique('again');
  return `li s9, ${count}\n${again}: ${body}\naddi s9, s9, -1; bgtz s9, ${again}`;
};

const STORES = ['sb', 'sh', 'sw', 'sd'];
const LOADS = ['lb', 'lh', 'lw', 'ld', 'lbu', 'lhu', 'lwu'];
const ATOMICS = ['amoadd.d', 'amoswap.w', 'amoor.d', 'amomaxu.w', 'amoand.d', 'amoxor.w'];

interface Parts {
  readonly random: Random;
  readonly queues: readonly Queue[];
  readonly tables: Tables;
  readonly token: readonly [bigint, bigint];
}

interface Tables {
  readonly root: number;
  readonly leaf: number;
}

/** Each gadget ends by going to the next one. */
function gadgets({ random, queues, tables, token }: Parts): string[] {
  const { root, leaf } = tables;
  const register64 = (name: string): string => `${rnd('t0')}; mv ${name}, t0`;
  const accesses = Array.from({ length: 12 }, () =>
    random.oneIn(2)
      ? `${place('t0')}; ${random.pick(STORES)} t1, (t0)`
      : random.oneIn(3)
        ? `${place('t0')}; andi t0, t0, -8; ${random.pick(ATOMICS)} t1, t2, (t0)`
        : `${place('t0')}; ${random.pick(LOADS)} t1, (t0)`,
  );
  const call = (extension: number, fn: number | undefined, ...args: string[]): string =>
    [
      ...args.map((arg, i) => `${arg}; mv a${i}, t0`),
      `li a7, ${extension}`,
      fn === undefined ? `${rnd('t0')}; andi a6, t0, 3` : `li a6, ${fn}`,
      'ecall',
    ].join('\n');
  const harts = `${rnd('t0')}; andi t0, t0, 7`;
  const any = rnd('t0');
  const device = (area: number, mask: number): string =>
    repeat(
      16,
      `${rnd('t0')}; srli t1, t0, 30; li t2, ${mask}; and t0, t0, t2; andi t0, t0, -4; li t2, ${area}; add t0, t0, t2; ${random.pick(['sw', 'sd', 'sb', 'sh'])} t1, (t0); ${random.pick(['lw', 'ld', 'lbu'])} t3, (t0)`,
    );
  /** Changes a random word of a queue's three areas and of the tables behind it. */
  const spoil = (queue: Queue): string =>
    repeat(
      3,
      `${rnd('t0')}; li t1, ${16 * queue.size - 8}; and t0, t0, t1; andi t0, t0, -8; li t1, ${random.pick([queue.desc, queue.desc, queue.avail])}; add t0, t0, t1; ${place('t2')}; ${random.pick(['sd', 'sd', 'sw', 'sh'])} t2, (t0)`,
    );
  const pte = (bits: number): string => `${place('t2')}; srli t2, t2, 12; slli t2, t2, 10; ori t2, t2, ${bits}`;
  return [
    ...Array.from({ length: 4 }, () => repeat(6, accesses.join('\n'))),
    ...Array.from({ length: CHAOS_BLOCKS }, (_, i) => `la ra, chaos${i}\njal t0, scramble\njr ra`),
    ...Array.from({ length: 4 }, (_, i) => userMode(`chaos${i}`)),
    // Code is written over, with a fence and without.
    ...Array.from({ length: 4 }, (_, i) => {
      const to = `chaos${random.below(CHAOS_BLOCKS)}`;
      return `la s1, chaos${i}; la s2, ${to}
      ${repeat(20, `${rnd('t0')}; andi t1, t0, 252; srli t0, t0, 20; andi t0, t0, 252; add t1, t1, s1; add t0, t0, s2; lw t1, (t1); sw t1, (t0)`)}
      ${random.oneIn(2) ? 'fence.i' : ''}
      la ra, ${to}\njal t0, scramble\njr ra`;
    }),
    // Address spaces come, go, and change under who looks.
    `li t0, ${(8n << 60n) + BigInt(root >>> 12)}; ${rnd('t1')}; srli t1, t1, 48; slli t1, t1, 44; or t0, t0, t1; csrw satp, t0; sfence.vma`,
    `li t0, ${(8n << 60n) + BigInt(root >>> 12)}; csrw satp, t0`,
    'csrw satp, x0',
    ...[0xcf, 0xdf, 0x47, 0x4b, 0xc1, 0xc3, 0xff].map(
      (
        bits,
      ) => `${rnd('t0')}; andi t0, t0, 0x7f8; slli t0, t0, 1; li t1, ${leaf}; add t0, t0, t1; ${pte(bits)}; sd t2, (t0)
      ${random.pick(['sfence.vma', 'sfence.vma x0, t2', `li t0, ${LOOSE}; sfence.vma t0`, ''])}
      ${repeat(8, `${rnd('t0')}; li t1, 0x1fffff; and t0, t0, t1; li t1, ${LOOSE}; add t0, t0, t1; ${random.pick(STORES)} t0, (t0); ${random.pick(LOADS)} t1, (t0)`)}`,
    ),
    repeat(4, `${place('t0')}; cbo.zero (t0)`),
    ...[0, 1].map((width) =>
      repeat(
        8,
        `li t0, ${FREE}; lr.${width ? 'd' : 'w'} t1, (t0); addi t1, t1, 1; sc.${width ? 'd' : 'w'} t2, t1, (t0)`,
      ),
    ),
    call(SBI.rfence, undefined, harts, 'li t0, 0', any, any),
    call(SBI.ipi, 0, harts, 'li t0, 0'),
    call(SBI.ipi, 0, any, any),
    call(SBI.hsm, 2, harts),
    call(SBI.hsm, 0, 'li t0, 1', 'la t0, second', any),
    call(SBI.hsm, 0, harts, place('t0'), any),
    call(SBI.console, undefined, `${rnd('t0')}; andi t0, t0, 31`, place('t0'), 'li t0, 0'),
    call(SBI.console, undefined, any, any, any),
    call(SBI.reset, 0, `${rnd('t0')}; ori t0, t0, 8`, any),
    call(0x10, undefined, any),
    `${rnd('a7')}; ${rnd('a6')}; ecall`,
    device(0x0c00_0000, 0x3ffc),
    device(0x0c20_0000, 0x7ffc),
    device(0x1000_0000, 0xfc),
    device(0x0010_1000, 0x3c),
    device(0x3000_8000, 0x1_ffff),
    // What the hands do, as somebody who is not them, or was once.
    ...[token[0], 1n].map(
      (first) => `li a0, ${first}; li a1, ${token[1]}; li a2, ${FREE + 0x1000}; ring; ${register64('a0')}; ring`,
    ),
    ...['again', 'elsewhere'].map(
      (name) => `la s1, rung.${name}; li a0, ${token[0]}; li a1, ${token[1]}; ${place('t0')}; mv a2, t0
      ${repeat(4, `j rung.${name}\nback.${name}: ${register64('a0')}`)}
      j next
      rung.${name}: ring
      j back.${name}
      ecall
      j back.${name}`,
    ),
    `${rnd('t0')}; csrw sscratch, s10; wfi`,
    ...queues.flatMap((queue, i) => {
      const setUp = `${enable(queue.slot)}\n${start(queue.slot, [queue], random.bits() | (1 << 28))}`;
      const kick = fill(queue);
      return [
        setUp,
        `${kick}\n${kick}`,
        `${spoil(queue)}\n${kick}`,
        register('b', queue.slot, 0x14, 0),
        `${setUp}\n${kick}`,
      ].filter((_, n) => n < 4 || i % 2 === 0);
    }),
  ];
}

const userMode = (name: string): string => {
  const code = unique('user');
  return `
  la t0, ${name}; li t1, ${FOR_USERS - 0x8000_0000}; csrr t2, satp; beqz t2, ${code}; add t0, t0, t1
${code}: csrw sepc, t0; li t0, 0x100; csrc sstatus, t0; li t0, 0x6020; csrs sstatus, t0
  jal t0, scramble
  sret`;
};

/** The kernel, and the token by which its hands would be known if the host believed in them. */
export function hostileKernel(random: Random): { kernel: Uint8Array; token: Uint8Array } {
  const guest = new BareGuest();
  const token: [bigint, bigint] = [random.bits64(), random.bits64()];
  const tables = pageTables(guest);
  const header = guest.allocate(16);
  guest.put32(header, random.below(2) * random.pick([1, 1, 4, 8, 11, 13]));
  const queues = DEVICES.map(({ slot, index, size }) =>
    guest.queue(slot, index, Math.min(size, 32), chainOf(random, header, slot, index, guest)),
  );
  const parts = gadgets({ random, queues, tables, token });
  const list = parts.map((_, i) => `gadget${i}`).join(', ');
  const chaos = Array.from({ length: CHAOS_BLOCKS }, (_, i) => {
    const words = Array.from({ length: CHAOS_WORDS }, () => `.word ${chaosWord(random) >>> 0}`);
    return `chaos${i}:\n${words.join('\n')}\nj next`;
  });
  const areas = [guest.allocate(64), guest.allocate(64)];
  const source = `
  li s10, ${areas[0]}; li t0, ${random.bits64() | 1n}; sd t0, (s10)
  j main
second:
  li s10, ${areas[1]}; li t0, ${random.bits64() | 1n}; sd t0, (s10)
main:
  la t0, trap; csrw stvec, t0
  csrw sscratch, s10
  li t0, 32; csrw sie, t0
next:
  csrr s10, sscratch
  la s11, places
  csrr t0, time; li t1, ${SLICE}; add t0, t0, t1; csrw stimecmp, t0
  li t0, 32; csrw sie, t0
  li t0, 0x6100; csrs sstatus, t0; csrci sstatus, 2
  li t0, ${ROUNDS}; ld t1, (t0); addi t1, t1, 1; sd t1, (t0)
  ${rnd('t0')}
  srli t0, t0, 8; li t1, ${parts.length}; remu t0, t0, t1; slli t0, t0, 3; la t1, gadgets; add t1, t1, t0; ld t1, (t1)
  csrsi sstatus, 2
  jr t1
# Registers are anything: half of them places.
scramble:
  mv s9, t0
  ${Array.from({ length: 24 }, (_, i) => (random.oneIn(2) ? place(reg(i)) : rnd(reg(i)))).join('\n')}
  jr s9
.align 2
trap:
  csrr t0, scause; blt t0, x0, next
  li t1, 12; beq t0, t1, next
  li t1, 1; beq t0, t1, next
  csrr t0, sepc; addi t0, t0, 4; csrw sepc, t0
  csrr t0, sscratch; ld t1, 8(t0); addi t1, t1, 1; sd t1, 8(t0); andi t1, t1, 63; beqz t1, next
  sret
.align 3
gadgets: .dword ${list}
places: .dword ${places(random, guest, queues, tables).join(', ')}
${parts.map((body, i) => `gadget${i}:\n${body}\nj next`).join('\n')}
${chaos.join('\n')}`;
  const bytes = new Uint8Array(16);
  token.forEach((half, i) => new DataView(bytes.buffer).setBigUint64(8 * i, half, true));
  return { kernel: guest.image(source), token: bytes };
}

/** Registers that chaos finds changed: not those that `scramble` works with. */
const SCRAMBLED = 'sp gp tp t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 t3 t4'.split(' ');
const reg = (i: number): string => SCRAMBLED[i];

/** Where it goes: its own memory mostly, edges of it, registers, and where nothing is. */
function places(random: Random, guest: BareGuest, queues: readonly Queue[], { leaf }: Tables): string[] {
  const scratch = guest.allocate(4096, 4096);
  const own = (): number => FREE + 4096 * random.below((END - FREE) / 4096 - 1);
  const wild = [
    0,
    0x1000,
    0x7fff_f800,
    END - 8,
    END,
    END - 1024,
    2 ** 32,
    2 ** 32 + FREE,
    2 ** 40,
    2 ** 55,
    -4096,
    0x0c00_0000,
    0x0c20_0000,
    0x1000_0000,
    0x3000_8000,
    0x3001_0000,
  ];
  const near = [
    scratch,
    ...queues.flatMap(({ desc, avail, used }) => [desc, avail, used]),
    leaf,
    FREE,
    LOOSE,
    LOOSE + 0x1f_f000,
    FOR_USERS + 0x100_0000,
  ];
  return Array.from({ length: 64 }, () =>
    String(random.oneIn(3) ? random.pick(wild) : random.oneIn(3) ? random.pick(near) : own()),
  );
}

/** Identity in pages of 1 GiB, the same for user mode, and a table of small pages behind it. */
function pageTables(guest: BareGuest): Tables {
  const [root, middle, leaf] = [0, 1, 2].map(() => guest.allocate(4096, 4096));
  const entry = (table: number, i: number, address: number, bits: number): void => {
    guest.put32(table + 8 * i, ((address / 4096) << 10) | bits);
  };
  for (const gigabyte of [0, 1, 2]) entry(root, gigabyte, gigabyte * 2 ** 30, V | RWX | AD);
  entry(root, 3, 0x8000_0000, V | RWX | AD | U);
  entry(root, 4, middle, V);
  entry(middle, 0, leaf, V);
  for (let i = 0; i < 512; i++) entry(leaf, i, FREE + 4096 * i, V | RWX | AD);
  return { root, leaf };
}

function chainOf(random: Random, header: number, slot: number, index: number, guest: BareGuest): Buffer[] {
  const anywhere = (): number =>
    random.pick([FREE, FREE + 4096 * random.below(1000), END - 64, 0x7fff_f000, 0x0c00_0000, 0x1000]);
  const length = random.pick([0, 1, 16, 60, 512, 1514, 4096, 8192]);
  if (slot === 3) {
    return [
      { address: header, length: 16 },
      { address: anywhere(), length: 512 * random.below(17), flags: F_WRITE * random.below(2) },
      { address: FREE + random.below(4096), length: 1, flags: F_WRITE },
    ];
  }
  const flags = (slot === 4 && index === 0) || slot === 2 ? F_WRITE : 0;
  const buffers = Array.from({ length: random.between(1, 4) }, () => ({ address: anywhere(), length, flags }));
  if (!random.oneIn(3)) return buffers;
  return [{ address: guest.table(buffers), length: 16 * buffers.length, flags: F_INDIRECT }];
}
