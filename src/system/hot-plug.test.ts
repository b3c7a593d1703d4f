/** What a computer's devices are given to, and what is refused: guests of a few instructions, in which there are no hands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { BARE_MEMORY, bareKernel, COUNTING } from '../guest/testing/bare-kernel.js';
import { Computer } from './computer.js';
import type { Instance } from './instance.js';

const FIRST_EMPTY = 4;

const newDisk = (): MemoryDisk => new MemoryDisk(new Uint8Array(4096));

async function withGuest(work: (computer: Computer, guest: Instance) => Promise<void>): Promise<void> {
  const computer = new Computer(nodeSystem, { memory: 3 * BARE_MEMORY, harts: 2 });
  try {
    await work(computer, await computer.boot({ kernel: bareKernel(COUNTING), memory: BARE_MEMORY }));
  } finally {
    await computer.close();
  }
}

void test('without hands nothing is given or taken, and the device is nobody’s', () =>
  withGuest(async (computer, guest) => {
    const disk = await computer.addDisk(newDisk());
    await assert.rejects(guest.give(disk), { name: 'SystemError', code: 'no-hands' });
    await assert.rejects(guest.takeBack(disk), { name: 'SystemError', code: 'no-hands' });
    await assert.rejects(guest.give(disk, { timeout: NaN }), { name: 'SystemError', code: 'invalid' });
    assert.equal(disk.mode, 'unused');
    await guest.destroy();
    await assert.rejects(guest.give(disk), { name: 'SystemError', code: 'ended' });
  }));

void test('slots are used again, in order, and there are no more than the bus has', () =>
  withGuest(async (computer, { os }) => {
    const disks = await Promise.all(Array.from({ length: 29 }, () => computer.addDisk(newDisk())));
    const slots = disks.slice(0, 28).map((disk) => os.plug(disk));
    assert.deepEqual(
      slots,
      Array.from({ length: 28 }, (_, i) => FIRST_EMPTY + i),
    );
    assert.throws(() => os.plug(disks[28]), { name: 'GuestError', code: 'too-many-devices' });
    assert.equal(disks[28].mode, 'unused');
    for (const n of [20, 3]) await os.unplug(disks[n]);
    assert.equal(os.plug(disks[28]), slots[3]);
    assert.equal(os.plug(disks[3]), slots[20]);
    await computer.devices.remove(disks[5]);
    assert.equal(os.plug(disks[20]), slots[5], 'what is taken out of the computer leaves its slot too');
    const order = os.devices.slice(3).map(({ slot }) => slot);
    assert.deepEqual(order, slots);
  }));

void test('a device that came with an OS instance is given to no other', () =>
  withGuest(async (computer, guest) => {
    const other = await computer.boot({ kernel: bareKernel(COUNTING), memory: BARE_MEMORY, disks: [newDisk()] });
    const [, , own] = other.devices;
    await other.os.unplug(own);
    assert.throws(() => guest.os.plug(own), { name: 'InterpositionError', code: 'mode' });
    other.os.plug(own);
    await other.destroy();
    assert.ok(![...computer.devices].includes(own), 'it went with it');
  }));

void test('a card of the computer has a place on the network until it is taken out', () =>
  withGuest(async (computer) => {
    const nics = Array.from({ length: 31 }, () => computer.addNic());
    assert.equal(new Set(nics.map((nic) => computer.linkOf(nic)?.address)).size, 31);
    assert.throws(() => computer.addNic(), { name: 'SystemError', code: 'no-network' });
    const address = computer.linkOf(nics[7])?.address;
    await computer.devices.remove(nics[7]);
    assert.equal(computer.linkOf(computer.addNic())?.address, address);
    const without = new Computer(nodeSystem, { memory: BARE_MEMORY, harts: 1, network: false });
    assert.throws(() => without.addNic(), { name: 'SystemError', code: 'no-network' });
    await without.close();
    assert.throws(() => without.addNic(), { name: 'SystemError', code: 'closed' });
  }));
