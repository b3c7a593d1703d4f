/**
 * Guests without an operating system, made by our own assembler: a kernel `Image` header, code for
 * hart 0, and behind it whatever tables and buffers the code wants.
 *
 *   0x8020_0000   the image: header, code
 *   0x8021_0000   tables and buffers, as `allocate` gives them out
 *   0x8024_0000   ROUNDS: a counter that the code keeps
 *   0x8100_0000   memory that holds nothing
 */
import { BARE_HEADER, BareImage } from '../../src/guest/bare-image.js';
import { assemble } from '../../src/hart/isa/assembler.js';

const BASE = 0x8020_0000;
const IMAGE_SIZE = 0x10_0000;
const TABLES = 0x1_0000;
export const ROUNDS = 0x8024_0000;
/** Room for buffers: 8 MiB that need not be in the image. */
export const FREE = 0x8100_0000;

const F_NEXT = 1;
export const F_WRITE = 2;
export const F_INDIRECT = 4;
export const INDIRECT_DESC = 1 << 28;

export interface Buffer {
  readonly address: number;
  readonly length: number;
  readonly flags?: number;
}

export interface Queue {
  readonly slot: number;
  readonly index: number;
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

/** Where the BAR of the function in a slot is put. */
const barOf = (slot: number): number => 0x4000_0000 + slot * 0x1_0000;
export const ecamOf = (slot: number): number => 0x3000_0000 + (slot << 15);

export class BareGuest {
  readonly #image = new BareImage({ size: IMAGE_SIZE, offset: 0x20_0000 });
  #free = BASE + TABLES;

  /** The kernel, its code being `source`; registers a0 (the hart) and a1 as the SBI leaves them. */
  image(source: string): Uint8Array {
    const { code } = assemble(source, BigInt(BASE + BARE_HEADER));
    if (code.length > TABLES - BARE_HEADER) throw new RangeError(`${code.length} bytes of code`);
    this.#image.put(BASE + BARE_HEADER, code);
    return this.#image.bytes;
  }

  allocate(size: number, alignment = 16): number {
    const at = Math.ceil(this.#free / alignment) * alignment;
    this.#free = at + size;
    if (this.#free > ROUNDS) throw new RangeError('no room for tables');
    return at;
  }

  put32(address: number, value: number): void {
    this.#image.view.setUint32(address - BASE, value, true);
  }

  put(address: number, bytes: Uint8Array): void {
    this.#image.put(address, bytes);
  }

  /** A table of descriptors, each of which names the next. */
  table(buffers: readonly Buffer[]): number {
    const at = this.allocate(16 * buffers.length);
    this.chain(at, 0, buffers);
    return at;
  }

  /** Writes a chain into a table, from entry `first` on. */
  chain(table: number, first: number, buffers: readonly Buffer[]): void {
    buffers.forEach(({ address, length, flags = 0 }, i) => {
      const at = table + 16 * (first + i);
      const last = i === buffers.length - 1;
      this.put32(at, address);
      this.put32(at + 4, 0);
      this.put32(at + 8, length);
      this.put32(at + 12, flags | (last ? 0 : F_NEXT) | ((first + i + 1) << 16));
    });
  }

  /** A queue that is full of the same chain. */
  queue(slot: number, index: number, size: number, buffers: readonly Buffer[]): Queue {
    const queue = {
      slot,
      index,
      size,
      desc: this.allocate(16 * size, 4096),
      avail: this.allocate(6 + 2 * size, 4096),
      used: this.allocate(6 + 8 * size, 4096),
    };
    this.chain(queue.desc, 0, buffers);
    return queue;
  }
}

const store = (width: 'b' | 'h' | 'w', address: number, value: number): string =>
  `li t0, ${address}; li t1, ${value}; s${width} t1, (t0)`;

/** Gives the function in a slot its BAR and lets it be a bus master. */
export const enable = (slot: number): string =>
  [store('w', ecamOf(slot) + 0x10, barOf(slot)), store('h', ecamOf(slot) + 4, 6)].join('\n');

/** Stores into a device's registers; `offset` in BAR 0. */
export const register = (width: 'b' | 'h' | 'w', slot: number, offset: number, value: number): string =>
  store(width, barOf(slot) + offset, value);

/** Takes a virtio device into use with these queues. */
export function start(slot: number, queues: readonly Queue[], features = INDIRECT_DESC): string {
  const put = (width: 'b' | 'h' | 'w', offset: number, value: number): string => register(width, slot, offset, value);
  return [
    ...[0, 1, 3].map((status) => put('b', 0x14, status)),
    ...[put('w', 0x08, 0), put('w', 0x0c, features), put('w', 0x08, 1), put('w', 0x0c, 1), put('b', 0x14, 11)],
    ...queues.flatMap((q) => [
      put('h', 0x16, q.index),
      put('h', 0x18, q.size),
      ...[q.desc, q.avail, q.used].flatMap((area, i) => [put('w', 0x20 + 8 * i, area), put('w', 0x24 + 8 * i, 0)]),
      put('h', 0x1c, 1),
    ]),
    put('b', 0x14, 15),
  ].join('\n');
}

/** Makes as many chains available as a queue holds, and kicks. Entries of the available ring are all 0: the same chain. */
export const fill = (q: Queue): string => `
  li t0, ${q.used}; lhu t1, 2(t0); li t2, ${q.size}; add t1, t1, t2
  li t0, ${q.avail}; sh t1, 2(t0); fence
  ${register('w', q.slot, 0x800 + 4 * q.index, q.index)}`;

/** Does `body` for ever and counts. */
export const forever = (body: string, label = 'forever'): string => `
${label}:
  ${body}
  li t0, ${ROUNDS}; ld t1, (t0); addi t1, t1, 1; sd t1, (t0)
  j ${label}`;

export const SBI = { hsm: 0x48534d, ipi: 0x735049, rfence: 0x52464e43, reset: 0x53525354, console: 0x4442434e };

/** An SBI call. */
export const sbi = (extension: number, fn: number, ...args: readonly number[]): string =>
  [...args.map((arg, i) => `li a${i}, ${arg}`), `li a7, ${extension}; li a6, ${fn}; ecall`].join('\n');

/** Milliseconds between the ticks of the honest guest. */
export const TICK = 5;

/** A guest that does no harm: at each tick of its timer it prints a dot, and gives back what came in on its serial port. */
export const honest = (): Uint8Array =>
  new BareGuest().image(`
  la t0, tick
  csrw stvec, t0
  li t0, 32
  csrs sie, t0
  csrr t0, time
  csrw stimecmp, t0
  csrsi sstatus, 2
idle:
  wfi
  j idle
.align 2
tick:
  csrr t0, time
  li t1, ${TICK * 10_000}
  add t0, t0, t1
  csrw stimecmp, t0
  li a0, 46
  li a7, ${SBI.console}; li a6, 2; ecall
echo:
  li s0, 0x10000000
  lbu t0, 5(s0)
  andi t0, t0, 1
  beqz t0, done
  lbu t0, (s0)
  sb t0, (s0)
  j echo
done:
  sret
`);
