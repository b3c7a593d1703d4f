/** Guests that keep devices busy for ever, each beside one that does no harm. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { MemoryDisk } from '../../src/computer/virtio/block-backend.js';
import { MIB } from '../testing/images.js';
import { BareGuest, ecamOf, enable, F_INDIRECT, F_WRITE, fill, forever, FREE, register, start } from './bare-guest.js';
import { beside, type Hostile, type Observation } from './beside.js';

// In the order in which an OS instance plugs them in; a disk comes before the network card.
const CONSOLE = 1;
const ENTROPY = 2;
const DISK = 3;
const NIC_ALONE = 3;

const disk = (): MemoryDisk => new MemoryDisk(new Uint8Array(32 * MIB));

/** It did what it is here to do. */
const busy =
  (least = 100) =>
  ({ rounds }: Observation): void => {
    for (const count of rounds) assert.ok(count >= least, `${count} rounds`);
  };

/** Keeps a queue full of one chain for ever. */
function keepFull(
  slot: number,
  index: number,
  size: number,
  chain: (guest: BareGuest) => Parameters<BareGuest['table']>[0],
): Uint8Array {
  const guest = new BareGuest();
  const queue = guest.queue(slot, index, size, chain(guest));
  return guest.image(`${enable(slot)}\n${start(slot, [queue])}\n${forever(fill(queue))}`);
}

/** An indirect table of 1,024 buffers of no length, the most that is taken for a chain. */
const emptyTable = (guest: BareGuest, flags = 0): Parameters<BareGuest['table']>[0] => {
  const length = 1024;
  const table = guest.table(Array.from({ length }, () => ({ address: FREE, length: 0, flags })));
  return [{ address: table, length: 16 * length, flags: F_INDIRECT }];
};

/** Our stations' addresses differ in the last octet. */
const station = (n: number): number[] => [0x52, 0x54, 0, 0, 0, n];

/** A frame from station `from` to another or to everybody, with its virtio header. */
function frame(guest: BareGuest, length: number, from: number, to?: number): { address: number; length: number } {
  const bytes = new Uint8Array(12 + length);
  bytes.set(to === undefined ? Array<number>(6).fill(0xff) : station(to), 12);
  bytes.set([...station(from), 0x88, 0xb5], 18);
  const address = guest.allocate(bytes.length);
  guest.put(address, bytes);
  return { address, length: bytes.length };
}

/** Sends frames for ever, and takes all that come. */
function flood(from: number, length: number, to?: number): Hostile {
  const guest = new BareGuest();
  const rx = guest.queue(NIC_ALONE, 0, 256, [{ address: FREE, length: 2048, flags: F_WRITE }]);
  const tx = guest.queue(NIC_ALONE, 1, 256, [frame(guest, length, from, to)]);
  const source = `${enable(NIC_ALONE)}\n${start(NIC_ALONE, [rx, tx])}\n${forever(`${fill(rx)}\n${fill(tx)}`)}`;
  return { kernel: guest.image(source), network: true };
}

describe('queues that are kept full', () => {
  test('a network card', () => beside([flood(1, 60)], busy()));
  test('two network cards that send each other what they can', () =>
    beside([flood(1, 60, 2), flood(2, 1514, 1)], ({ guests, rounds }) => {
      for (const count of rounds) assert.ok(count > 100, `${count} rounds`);
      for (const { os } of guests) assert.ok(os.nics[0].counters.received > 1000, 'and they hear each other');
    }));
  test('a network card: frames that are too short', () =>
    beside([{ kernel: keepFull(3, 1, 256, () => [{ address: FREE, length: 13 }]), network: true }], busy()));

  const request =
    (type: number, data: { length: number; flags?: number; bytes?: Uint8Array }) => (guest: BareGuest) => {
      const header = guest.allocate(16);
      guest.put32(header, type);
      let address = FREE;
      if (data.bytes !== undefined) {
        address = guest.allocate(data.bytes.length);
        guest.put(address, data.bytes);
      }
      return [
        { address: header, length: 16 },
        { address, length: data.length, flags: data.flags ?? 0 },
        { address: FREE + 12 * MIB, length: 1, flags: F_WRITE },
      ];
    };
  const range = new Uint8Array(16);
  new DataView(range.buffer).setUint32(8, 2 ** 16, true);
  const kinds = {
    'reads of 4 MiB': request(0, { length: 4 * MIB, flags: F_WRITE }),
    'writes of 4 MiB': request(1, { length: 4 * MIB }),
    'reads of a sector': request(0, { length: 512, flags: F_WRITE }),
    'discards of all it has': request(11, { length: 16, bytes: range }),
    'zeroes for all it has': request(13, { length: 16, bytes: range }),
  };
  for (const [name, chain] of Object.entries(kinds)) {
    test(`a disk: ${name}`, () => beside([{ kernel: keepFull(DISK, 0, 128, chain), disks: [disk()] }], busy(20)));
  }

  test('a console: text', () =>
    beside([{ kernel: keepFull(CONSOLE, 1, 32, () => [{ address: FREE, length: 4096 }]) }], busy()));
  test('a console: empty chains', () =>
    beside([{ kernel: keepFull(CONSOLE, 1, 32, () => [{ address: FREE, length: 0 }]) }], busy()));
  test('a console: empty chains from two harts', () => {
    const guest = new BareGuest();
    const queue = guest.queue(CONSOLE, 1, 32, [{ address: FREE, length: 0 }]);
    const source = `
      li t0, 1; beq a0, t0, second
      ${enable(CONSOLE)}
      ${start(CONSOLE, [queue])}
      li a0, 1; la a1, second; li a7, 0x48534d; li a6, 0; ecall
      ${forever(fill(queue))}
      second: ${forever(fill(queue), 'other')}`;
    return beside([{ kernel: guest.image(source), harts: 2 }], busy());
  });
  test('the entropy device', () =>
    beside([{ kernel: keepFull(ENTROPY, 0, 8, () => [{ address: FREE, length: 8192, flags: F_WRITE }]) }], busy()));
});

describe('chains that are long, empty or wrong', () => {
  const devices = {
    console: [CONSOLE, 1, 32],
    'network card': [NIC_ALONE, 1, 256],
    'entropy device': [ENTROPY, 0, 8],
  } as const;
  for (const [name, [slot, index, size]] of Object.entries(devices)) {
    test(`indirect tables of 1,024 empty buffers: ${name}`, () =>
      beside([{ kernel: keepFull(slot, index, size, (guest) => emptyTable(guest)), network: true }], busy()));
  }
  test('indirect tables of 1,024 empty buffers to receive into, while a neighbour sends', () => {
    const guest = new BareGuest();
    const rx = guest.queue(NIC_ALONE, 0, 256, [
      {
        address: guest.table([
          { address: FREE, length: 12, flags: F_WRITE },
          ...Array.from({ length: 1000 }, () => ({ address: FREE, length: 0, flags: F_WRITE })),
        ]),
        length: 16 * 1001,
        flags: F_INDIRECT,
      },
    ]);
    const source = `${enable(NIC_ALONE)}\n${start(NIC_ALONE, [rx], (1 << 28) | (1 << 15))}\n${forever(fill(rx))}`;
    return beside([{ kernel: guest.image(source), network: true }, flood(2, 1514)], busy());
  });
  test('a chain that loops, in a device that is reset each time it stops', () => {
    const guest = new BareGuest();
    const queue = guest.queue(
      CONSOLE,
      1,
      32,
      Array.from({ length: 32 }, () => ({ address: FREE, length: 0 })),
    );
    // The last one names the first.
    guest.put32(queue.desc + 16 * 31 + 12, 1);
    const source = `${enable(CONSOLE)}\n${forever(`${start(CONSOLE, [queue])}\n${fill(queue)}`)}`;
    return beside([{ kernel: guest.image(source) }], busy());
  });
});

describe('a balloon', () => {
  // With neither disk nor network card it comes behind the entropy device.
  const BALLOON = 3;
  const REPORTING = 1 << 5;
  const options = { maxMemory: 48 * MIB };
  const MEMORY_PAGES = 48 * 256;

  test('free pages without end, which it writes to meanwhile', () => {
    const guest = new BareGuest();
    const queue = guest.queue(BALLOON, 4, 8, [{ address: FREE, length: 12 * MIB, flags: F_WRITE }]);
    const touch = `li t0, ${FREE}; li t1, 4096; li t2, 256; touch: sd t0, (t0); add t0, t0, t1; addi t2, t2, -1; bnez t2, touch`;
    const source = `${enable(BALLOON)}\n${start(BALLOON, [queue], REPORTING)}\n${forever(`${fill(queue)}\n${touch}`)}`;
    return beside([{ ...options, kernel: guest.image(source) }], (seen) => {
      busy(5)(seen);
      const { memory, os } = seen.guests[0] ?? assert.fail();
      assert.ok((memory?.resident ?? Infinity) <= 32 * MIB);
      assert.equal(os.partition.space.limit, 32 * 256);
    });
  });
  test('page numbers of all sorts, each twice, in and out', () => {
    const guest = new BareGuest();
    const list = new Uint32Array(16_384);
    // Behind what it has itself, and outside of memory.
    list.forEach((_, i) => (list[i] = i % 3 === 0 ? FREE / 4096 + (i % 2048) : (i * 2_654_435_761) >>> 0));
    const address = guest.allocate(list.byteLength);
    guest.put(address, new Uint8Array(list.buffer));
    const queues = [0, 1].map((q) => guest.queue(BALLOON, q, 8, [{ address, length: list.byteLength }]));
    const source = `${enable(BALLOON)}\n${start(BALLOON, queues)}\n${forever(queues.map(fill).join('\n'))}`;
    return beside([{ ...options, kernel: guest.image(source) }], busy(5));
  });
  test('all of its memory: its code, its queues, what a device is reading', () => {
    const guest = new BareGuest();
    const list = Uint32Array.from({ length: MEMORY_PAGES }, (_, i) => 0x8_0000 + i);
    const address = guest.allocate(list.byteLength);
    guest.put(address, new Uint8Array(list.buffer));
    const queue = guest.queue(BALLOON, 0, 8, [{ address, length: list.byteLength }]);
    const text = guest.queue(CONSOLE, 1, 32, [{ address: FREE, length: 4096 }]);
    const source = `
      ${enable(CONSOLE)}\n${start(CONSOLE, [text])}\n${fill(text)}
      ${enable(BALLOON)}\n${start(BALLOON, [queue])}\n${forever(`${fill(queue)}\n${fill(text)}`)}`;
    return beside([{ ...options, kernel: guest.image(source) }], async ({ guests }) => {
      const { os } = guests[0] ?? assert.fail();
      for (let i = 0; i < 500 && os.memory?.report().usable !== 0; i++) await wait(10);
      assert.equal(os.memory?.report().usable, 0, 'it has given all of it away');
    });
  });
});

describe('registers without end', () => {
  const devices = [CONSOLE, ENTROPY, DISK, 4];
  const all = (line: (slot: number) => string): string => devices.map(line).join('\n');
  const options = { network: true, disks: [disk()] };

  test('doorbells', () => {
    const guest = new BareGuest();
    const queues = devices.map((slot) =>
      guest.queue(slot, slot === 1 || slot === 4 ? 1 : 0, 8, [{ address: FREE, length: 0 }]),
    );
    const ring = queues.map((q) => register('w', q.slot, 0x800 + 4 * q.index, q.index)).join('\n');
    const source = `${all(
      (slot) =>
        `${enable(slot)}\n${start(
          slot,
          queues.filter((q) => q.slot === slot),
        )}`,
    )}\n${forever(ring)}`;
    return beside([{ ...options, kernel: guest.image(source) }], busy());
  });
  test('resets', () =>
    beside(
      [
        {
          ...options,
          kernel: new BareGuest().image(`${all(enable)}\n${forever(all((slot) => register('b', slot, 0x14, 0)))}`),
        },
      ],
      busy(),
    ));
  test('resets of a device whose queue is full', () => {
    const guest = new BareGuest();
    const queue = guest.queue(DISK, 0, 128, [
      { address: FREE, length: 16 },
      { address: FREE, length: 4 * MIB, flags: F_WRITE },
    ]);
    const source = `${enable(DISK)}\n${forever(`${start(DISK, [queue])}\n${fill(queue)}`)}`;
    return beside([{ ...options, kernel: guest.image(source) }], busy());
  });
  test('BARs that move, commands that change', () => {
    const move = all(
      (slot) => `li t0, ${ecamOf(slot)}; ld t1, (t0); addi s1, s1, 1; slli t1, s1, 12; sw t1, 0x10(t0)
        andi t1, s1, 7; sh t1, 4(t0); li t1, -1; sw t1, 0x10(t0); lw t1, 0x10(t0)`,
    );
    return beside([{ ...options, kernel: new BareGuest().image(forever(move)) }], busy());
  });
  test('output on the serial port, whether there is room or not', () =>
    beside([{ kernel: new BareGuest().image(`li s0, 0x10000000; li s1, 65\n${forever('sb s1, (s0)')}`) }], busy()));
  test('interrupts of the serial port', () =>
    beside(
      [
        {
          kernel: new BareGuest().image(
            `li s0, 0x10000000; li s1, 2\n${forever('sb s1, 1(s0); sb x0, 1(s0); sb s1, (s0); lbu t1, 2(s0)')}`,
          ),
        },
      ],
      busy(),
    ));
});
