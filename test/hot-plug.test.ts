/**
 * What a computer gets while a guest runs, devices, harts and memory: hidden until the guest is given it, and the computer's
 * again later.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shortFolder } from '../src/guest/hands/files.js';
import { setOnline } from '../src/guest/hot-plug.js';
import { SYS } from '../src/guest/hands/syscalls.js';
import { Carrier, Computer, MemoryDisk, type ComputerDevice } from '../src/index.js';
import { formatMac } from '../src/net/index.js';
import { readText } from '../src/domain/linux/os.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

const AT_FDCWD = -100;
const O_RDWR = 2;
/** What comes with each hart, for what OS instances need beside their memory. */
const CONTROL = 4 * MIB;
const TEXT = 'written before it was taken back';

/** What the guest's kernel has on its bus. */
const bus = async ({ hands }: Carrier): Promise<readonly string[]> =>
  [...((await shortFolder(hands, '/sys/bus/pci/devices')) ?? [])].sort();

/** Writes to the beginning of a disk, and leaves it in the kernel's memory. */
async function write({ hands }: Carrier, name: string): Promise<void> {
  const b = hands.batch();
  const fd = b.must(SYS.openat, AT_FDCWD, b.str(`/dev/${name}`), O_RDWR, 0);
  b.must(SYS.write, fd, b.str(TEXT), TEXT.length);
  b.must(SYS.close, fd);
  const r = await b.run();
  assert.ok(r.value(fd) >= 0, name);
}

/** Has somebody alone use a disk, as a mount does; answers what ends that. */
async function claim({ hands }: Carrier, name: string): Promise<() => Promise<void>> {
  const O_EXCL = 0o200;
  const b = hands.batch();
  const opened = b.call(SYS.openat, AT_FDCWD, b.str(`/dev/${name}`), O_EXCL, 0);
  const fd = (await b.run()).value(opened);
  assert.ok(fd >= 0);
  return async () => {
    await hands.syscall(SYS.close, fd);
  };
}

for (const kernel of KERNELS) {
  test(`${kernel}: what is added is hidden until it is given, and clean when it is taken back`, async () => {
    const computer = await Computer.create({ memory: 320 * MIB, maxMemory: 640 * MIB, harts: 1, maxHarts: 3 });
    try {
      const { freeMemory } = computer;
      const image = await testImage(kernel);
      const carrier = await Carrier.boot(computer, { name: 'a', image, memory: 256 * MIB, maxHarts: 3 });
      assert.doesNotMatch(carrier.instance.console.text, /failed to start/);
      await devices(computer, carrier);
      await harts(computer, carrier);
      await ends(computer, carrier);
      assert.equal(computer.freeHarts, 3);
      assert.equal(computer.freeMemory - freeMemory, 320 * MIB + 2 * CONTROL);
    } finally {
      await computer.close();
    }
  });
}

async function devices(computer: Computer, carrier: Carrier): Promise<void> {
  const { instance, hands } = carrier;
  const before = await bus(carrier);
  const contents = new MemoryDisk(new Uint8Array(2 * MIB));
  const disk = await computer.addDisk(contents);
  const nic = computer.addNic();
  const scan = hands.batch();
  const rescan = scan.call(SYS.openat, AT_FDCWD, scan.str('/sys/bus/pci/rescan'), 1, 0);
  scan.call(SYS.write, rescan, scan.str('1'), 1);
  await scan.run();
  assert.deepEqual(await bus(carrier), before, 'what is added is hidden, even from who looks for it');

  const given = await instance.give(disk);
  assert.deepEqual(given, { slot: 4, pci: '0000:00:04.0', name: 'vda' });
  assert.equal(await readText(hands, '/sys/block/vda/size'), `${disk.sectors}\n`);
  const card = await instance.give(nic);
  assert.deepEqual(card, { slot: 5, pci: '0000:00:05.0', name: 'eth1' });
  const mac = [...nic.device.options.mac].reduce((sum, byte) => sum * 256 + byte, 0);
  assert.equal(await readText(hands, '/sys/class/net/eth1/address'), `${formatMac(mac)}\n`);
  assert.equal(computer.linkOf(nic)?.address, '10.0.2.16');
  assert.deepEqual(await bus(carrier), [...before, '0000:00:04.0', '0000:00:05.0']);
  await assert.rejects(instance.give(disk), { code: 'mode' });

  await write(carrier, 'vda');
  const letGo = await claim(carrier, 'vda');
  await assert.rejects(instance.takeBack(disk), { name: 'SystemError', code: 'in-use' });
  assert.equal(disk.mode, 'direct', 'what is in use stays');
  await letGo();
  await instance.takeBack(disk);
  assert.equal(disk.mode, 'unused');
  const first = new Uint8Array(512);
  await contents.read(0, first);
  assert.equal(new TextDecoder().decode(first.subarray(0, TEXT.length)), TEXT, 'it was written out');
  assert.deepEqual(await bus(carrier), [...before, '0000:00:05.0']);

  // Through the monitor, and into the slot that is empty.
  assert.equal((await instance.give(disk)).slot, 4);
  await disk.interpose();
  const watch = await disk.watch(() => undefined);
  await assert.rejects(instance.takeBack(disk), { name: 'InterpositionError', code: 'in-use' });
  await watch.end();
  assert.equal(disk.mode, 'interposed');
  await instance.takeBack(disk);
  await instance.takeBack(nic);
  assert.deepEqual(await bus(carrier), before);
  assert.equal(computer.linkOf(nic)?.port, undefined, 'its cable is out');
  for (const device of [disk, nic] as ComputerDevice[]) assert.equal(device.user, undefined);
}

async function harts(computer: Computer, { instance, hands }: Carrier): Promise<void> {
  const online = async (): Promise<string> => {
    const text = await readText(hands, '/sys/devices/system/cpu/online');
    const info = (await readText(hands, '/proc/cpuinfo')) ?? '';
    return `${text?.trim()} ${info.match(/^processor/gm)?.length}`;
  };
  assert.equal(await online(), '0 1');
  await assert.rejects(instance.setHarts(2), { name: 'ComputerError', code: 'no-hart' });
  computer.addHarts(2);
  assert.throws(() => computer.addHarts(1), { name: 'ComputerError', code: 'too-large' });
  const before = computer.freeMemory;
  computer.addMemory(320 * MIB);
  assert.equal(computer.freeMemory - before, 320 * MIB);
  assert.throws(() => computer.addMemory(4096), { name: 'ComputerError', code: 'too-large' });
  // Its kernel tries, and is told that there is no such hart.
  assert.ok((await setOnline(hands, 1, true)) < 0);
  assert.equal(await online(), '0 1');

  for (let round = 0; round < 2; round++) {
    await instance.setHarts(3);
    assert.deepEqual([await online(), instance.harts, computer.freeHarts], ['0-2 3', 3, 0]);
    await instance.setHarts(2);
    assert.deepEqual([await online(), instance.harts, computer.freeHarts], ['0-1 2', 2, 1]);
    await instance.setHarts(1);
    assert.deepEqual([await online(), instance.harts, computer.freeHarts], ['0 1', 1, 2]);
  }
  await instance.setHarts(2);
  // As when it does what it was asked for when nobody waits for it any more: it has the hart, and does not run on it.
  assert.equal(await setOnline(hands, 1, false), 0);
  assert.deepEqual([await online(), instance.harts], ['0 1', 2]);
  await instance.setHarts(2);
  assert.deepEqual([await online(), instance.harts, computer.freeHarts], ['0-1 2', 2, 1]);
  await assert.rejects(instance.setHarts(4), { name: 'SystemError', code: 'invalid' });
}

/** Held still, the hands do nothing; and a device that was being given is nobody's when the instance has ended. */
async function ends(computer: Computer, { instance }: Carrier): Promise<void> {
  const nic = computer.addNic();
  await instance.pause();
  await assert.rejects(instance.give(nic), { name: 'SystemError', code: 'paused' });
  instance.resume();
  const giving = instance.give(nic);
  void instance.destroy();
  await assert.rejects(giving, { name: 'SystemError', code: 'ended' });
  assert.equal(nic.mode, 'unused');
  assert.equal(computer.linkOf(nic)?.port, undefined);
}
