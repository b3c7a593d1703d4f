/** Two instances that want more than there is of a disk, and of the way outside: each has its share, 3 : 1. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { readText } from '../../src/domain/linux/os.js';
import { Carrier, Computer, DiskDevice, Domain, MemoryDisk } from '../../src/index.js';
import { MIB, testImage } from '../testing/images.js';

const SECONDS = 10;
const WEIGHT = 3;
/** Bytes per second. */
const OUTSIDE = 1e6;

const moment = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What each has had, in bytes, of some seconds in which both want all they can get. */
async function measure(both: readonly (() => Promise<number>)[]): Promise<number[]> {
  await moment(1000);
  const before = await Promise.all(both.map((look) => look()));
  await moment(1000 * SECONDS);
  const after = await Promise.all(both.map((look) => look()));
  return after.map((bytes, n) => bytes - (before[n] ?? 0));
}

test('a disk, shared 3 : 1', { timeout: 120_000 }, async (t) => {
  const computer = await Computer.create({
    memory: 448 * MIB,
    harts: 2,
    network: { bandwidth: 2e6, hostAccess: true },
  });
  try {
    const image = await testImage('trixie');
    const disk: DiskDevice = await computer.addDisk(new MemoryDisk(new Uint8Array(64 * MIB)));
    const boot = { image, memory: 192 * MIB };
    const light = await Carrier.boot(computer, { ...boot, name: 'light', disks: [disk], network: false });
    const view = await disk.share({ readOnly: true, weight: WEIGHT });
    const heavy = await Carrier.boot(computer, { ...boot, name: 'heavy', disks: [view], network: false });

    const limit = await disk.limit({ bytesPerSecond: 3e6 });
    const reading = ['/bin/sh', '-c', 'while :; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct; done'] as const;
    // Several at a time: who asks for one thing after the other does not want more than it gets.
    const readers = await Promise.all(
      [light, heavy].flatMap((carrier) =>
        [1, 2, 3, 4].map((n) => Domain.run(carrier, { name: `read${n}`, argv: [...reading] })),
      ),
    );
    const sectors =
      ({ hands }: Carrier) =>
      async (): Promise<number> =>
        512 * Number((await readText(hands, '/sys/block/vda/stat'))?.trim().split(/\s+/)[2]);
    const [lightRead = 0, heavyRead = 0] = await measure([sectors(light), sectors(heavy)]);
    await Promise.all(readers.map((reader) => reader.stop({ timeout: 5000 })));
    await limit.end();
    const read = heavyRead / lightRead;
    t.diagnostic(`disk: ${read.toFixed(2)} : 1, together ${((heavyRead + lightRead) / SECONDS / 1e6).toFixed(1)} MB/s`);
    assert.ok(read > 2.3 && read < 3.7, `${heavyRead} to ${lightRead}`);
  } finally {
    await computer.close();
  }
});

test('the way outside, shared 3 : 1', { timeout: 120_000 }, async (t) => {
  const computer = await Computer.create({ memory: 448 * MIB, harts: 2, network: { bandwidth: OUTSIDE } });
  const received = [0, 0];
  const sent = [0, 0];
  const macs: number[] = [];
  const servers = received.map((_, n) =>
    createServer((socket) => {
      socket.on('error', () => undefined).on('data', (data) => (received[n] = (received[n] ?? 0) + data.length));
    }),
  );
  try {
    for (const [n, server] of servers.entries()) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as { port: number };
      const guest = await computer.boot({
        image: await testImage('trixie'),
        memory: 192 * MIB,
        network: { weight: n === 0 ? 1 : WEIGHT },
        // Several connections: one alone waits for its answers, and wants no more than its window.
        run: `for n in 1 2 3 4 5 6 7 8; do (while :; do nc 10.0.2.2 ${port} < /dev/zero; done) & done; wait`,
      });
      macs.push(guest.os.nics[0]?.options.mac.at(-1) ?? -1);
    }
    const [way] = computer.network?.switch.ports ?? [];
    const out = way?.onFrame;
    assert.ok(way !== undefined && out !== undefined);
    // On the wire: what is sent again because it was late has its share too.
    way.onFrame = (frame) => {
      const taken = out(frame);
      const from = macs.indexOf(frame[11] ?? 0);
      if (taken && from >= 0) sent[from] = (sent[from] ?? 0) + frame.length;
      return taken;
    };
    for (const end = performance.now() + 60_000; received.some((bytes) => bytes === 0); await moment(50)) {
      assert.ok(performance.now() < end, `${received.join(' and ')} bytes have come`);
    }
    let [light, heavy] = [0, 0];
    // A host that is busy may leave the way outside half empty: then nothing has to be shared.
    for (let tries = 0; tries < 4 && light + heavy < 0.95 * OUTSIDE * SECONDS; tries++) {
      [light = 0, heavy = 0] = await measure([0, 1].map((n) => () => Promise.resolve(sent[n] ?? 0)));
    }
    const ratio = heavy / light;
    t.diagnostic(`${ratio.toFixed(2)} : 1, together ${((heavy + light) / SECONDS / 1e6).toFixed(1)} MB/s`);
    assert.ok(ratio > 2 && ratio < 4.5, `${heavy} to ${light}`);
  } finally {
    for (const server of servers) server.close();
    await computer.close();
  }
});
