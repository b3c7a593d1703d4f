/** What the monitor steps in for at a disk that a guest goes on using. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk, type BlockBackend } from '../computer/virtio/block-backend.js';
import type { DiskDisturbance, DiskRecord, DiskShareOptions, SharedDisk } from './path/disk-types.js';
import type { RateLimit } from './path/options.js';
import { DISCARD, DiskGuest, filled, SECTOR, ZERO } from './testing/disk-guest.js';

const SECTORS = 2048;
const memory = (sectors = SECTORS, id = 'memory'): MemoryDisk => new MemoryDisk(new Uint8Array(sectors * SECTOR), id);
const isInvalid = { name: 'InterpositionError', code: 'invalid' };

void test('a watch tells of each request once, counts it, and ends', async () => {
  const guest = new DiskGuest(memory());
  const records: DiskRecord[] = [];
  const watch = await guest.device.watch((record) => records.push(record));
  assert.equal(guest.device.mode, 'interposed');
  assert.deepEqual(guest.device.uses, [watch]);
  await guest.write(8, filled(1, 4));
  await guest.read(8, 2);
  await guest.flush();
  await guest.range(DISCARD, 100, 50);
  await guest.range(ZERO, 0, 7);
  assert.deepEqual(
    records.map(({ kind, sector, sectors, ok }) => [kind, sector, sectors, ok]),
    [
      ['write', 8, 4, true],
      ['read', 8, 2, true],
      ['flush', 0, 0, true],
      ['discard', 100, 50, true],
      ['zero', 0, 7, true],
    ],
  );
  assert.ok(records.every(({ at, ms }, i) => ms >= 0 && at >= (records[i - 1]?.at ?? 0)));
  assert.deepEqual(watch.counts, { read: 1, write: 1, flush: 1, discard: 1, zero: 1, failed: 0 });
  assert.deepEqual(watch.bytes, { read: 2 * SECTOR, written: 4 * SECTOR });
  await watch.end();
  await watch.end();
  assert.equal(guest.device.mode, 'direct');
  await guest.read(0);
  assert.equal(records.length, 5);
  guest.check();
});

void test('a listener that throws has no part in the request', async () => {
  const guest = new DiskGuest(memory());
  const failure = new Error('told too much');
  const watch = await guest.device.watch(() => {
    throw failure;
  });
  assert.equal((await guest.read(0)).status, 0);
  assert.equal((await guest.read(0)).status, 0);
  assert.equal(watch.broken, failure);
  assert.equal(watch.counts.read, 2);
  guest.check();
});

void test('the monitor stays for as long as one use is left, whatever comes and goes at once', async () => {
  const guest = new DiskGuest(memory());
  const begun = await Promise.all([
    guest.device.watch(() => undefined),
    guest.device.limit({ operationsPerSecond: 1e6 }),
    guest.device.disturb({ latency: 1 }),
  ]);
  assert.equal(guest.device.counters.interposed, 1);
  await assert.rejects(guest.device.stepAway(), { code: 'in-use', message: /watched/ });
  await begun[0].end();
  assert.equal(guest.device.mode, 'interposed');
  // One begins while the monitor is about to step away for the others.
  const [, , last] = await Promise.all([begun[1].end(), begun[2].end(), guest.device.watch(() => undefined)]);
  assert.equal(guest.device.mode, 'interposed');
  await guest.write(1, filled(1));
  assert.equal(last.counts.write, 1);
  await last.end();
  assert.equal(guest.device.mode, 'direct');
  // Told to stay, it stays.
  await guest.device.interpose();
  await (await guest.device.watch(() => undefined)).end();
  assert.equal(guest.device.mode, 'interposed');
  guest.check();
});

void test('a limit makes requests wait, by operations and by bytes, and lets them go at its end', async () => {
  const guest = new DiskGuest(memory());
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const begin = performance.now();
    await work();
    return performance.now() - begin;
  };
  const operations = await guest.device.limit({ operationsPerSecond: 100, burst: 0.01 });
  const first = await timed(() => Promise.all(Array.from({ length: 20 }, (_, i) => guest.write(i, filled(i)))));
  // The first finds a token, and each of the others comes 10 ms after the one before.
  assert.ok(first >= 170, `${first} ms`);
  await operations.end();
  const bytes = await guest.device.limit({ bytesPerSecond: 16 * SECTOR * 50, burst: 0.02 });
  const second = await timed(() => Promise.all(Array.from({ length: 10 }, () => guest.read(0, 16))));
  assert.ok(second >= 150, `${second} ms`);
  await bytes.end();
  const slow = await guest.device.limit({ operationsPerSecond: 0.01, burst: 1 });
  await guest.read(0);
  const waits = Promise.all([guest.read(3), guest.flush(), guest.write(5, filled(7))]);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.ok((await timed(async () => (await slow.end(), waits))) < 10_000);
  assert.deepEqual((await waits)[0].data, filled(3));
  assert.equal(guest.device.mode, 'direct');
  guest.check();
});

void test('errors come by rule, each answered once, and the disk goes on without it', async () => {
  const guest = new DiskGuest(memory());
  const always = await guest.device.disturb({ errors: 1, requests: ['write'], first: 100, sectors: 10 });
  assert.equal((await guest.write(109, filled(1))).status, 1);
  assert.equal((await guest.write(96, filled(1, 8))).status, 1);
  assert.equal((await guest.write(110, filled(1))).status, 0);
  assert.equal((await guest.read(105)).status, 0);
  assert.deepEqual((await guest.read(109)).data, filled(0), 'what fails is not done');
  await always.end();
  assert.equal((await guest.write(109, filled(1))).status, 0);
  let n = 0;
  const half = await guest.device.disturb({ errors: 0.5, random: () => (n++ % 2 === 0 ? 0.2 : 0.8) });
  const statuses: number[] = [];
  for (let i = 0; i < 6; i++) statuses.push((await guest.read(i)).status);
  assert.deepEqual(statuses, [1, 0, 1, 0, 1, 0]);
  await half.end();
  guest.check();
});

void test('a flush waits for every write before it, and none that it covers comes after it', async () => {
  const log: string[] = [];
  const inner = memory();
  const disk: BlockBackend = {
    sectors: inner.sectors,
    readOnly: false,
    id: 'log',
    read: (sector, into) => inner.read(sector, into),
    write: (sector, from) => (log.push(`write ${sector}`), inner.write(sector, from)),
    flush: () => (log.push('flush'), inner.flush()),
  };
  const guest = new DiskGuest(disk);
  // Later ones are faster than earlier ones.
  let n = 0;
  const rule = await guest.device.disturb({ latency: 20, jitter: 20, random: () => 1 - (n++ % 8) / 8 });
  for (let round = 0; round < 5; round++) {
    log.length = 0;
    const writes = Array.from({ length: 7 }, (_, i) => guest.write(i, filled(i)));
    const flush = guest.flush().then(() => log.push('flushed'));
    await Promise.all([...writes, flush]);
    assert.deepEqual(log.slice(-2), ['flush', 'flushed']);
    assert.equal(log.length, 9);
  }
  await rule.end();
  guest.check();
});

void test('a share is one of three views, and none of them lets two write the same sector', async () => {
  const disk = memory();
  const guest = new DiskGuest(disk);
  const { device } = guest;
  await guest.write(10, filled(1));
  const read = async (of: SharedDisk, sector: number): Promise<number> => {
    const into = new Uint8Array(SECTOR);
    await of.read(sector, into);
    assert.ok(into.every((byte) => byte === into[0]));
    return into[0];
  };

  const range = await device.share({ first: 1000, sectors: 100 });
  assert.equal(range.sectors, 100);
  await range.write(0, filled(5));
  assert.equal(disk.bytes[1000 * SECTOR], 5);
  assert.equal((await guest.write(1099, filled(9))).status, 1, 'the first cannot write what is the second’s');
  assert.equal((await guest.range(ZERO, 990, 11)).status, 1);
  assert.equal((await guest.write(1100, filled(9))).status, 0);
  assert.deepEqual((await guest.read(1000)).data, filled(5));
  await assert.rejects(device.share({ first: 1099, sectors: 1 }), isInvalid);

  const live = await device.share({ readOnly: true });
  await guest.write(10, filled(2));
  assert.equal(await read(live, 10), 2);
  await assert.rejects(live.write(10, filled(1)), { name: 'BlockError', code: 'read-only' });

  const overlay = await device.share({ overlay: true });
  const picture = await device.share({ overlay: true, readOnly: true, first: 8, sectors: 8 });
  await overlay.write(20, filled(77));
  await guest.write(10, filled(3));
  await guest.write(20, filled(4));
  await guest.range(ZERO, 1100, 1);
  assert.deepEqual([await read(overlay, 10), await read(overlay, 20), await read(overlay, 1100)], [2, 77, 9]);
  assert.equal(await read(picture, 2), 2);
  assert.equal((await guest.read(20)).data[0], 4);

  await assert.rejects(device.stepAway(), { code: 'in-use' });
  const all = [range, live, overlay, picture];
  for (const view of all) await view.end();
  for (const view of all) await assert.rejects(view.read(0, new Uint8Array(SECTOR)), { name: 'BlockError' });
  assert.equal(device.mode, 'direct');
  assert.equal((await guest.write(1099, filled(9))).status, 0);
  guest.check();
});

void test('an overlay holds the moment against random writes of the first user', async () => {
  const disk = memory();
  const guest = new DiskGuest(disk);
  let seed = 99;
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below;
  for (let i = 0; i < 60; i++) await guest.write(random(SECTORS - 16), filled(1 + random(250), 1 + random(16)));
  const writing = Array.from({ length: 10 }, () => guest.write(random(SECTORS - 16), filled(251, 8)));
  const [view] = await Promise.all([guest.device.share({ overlay: true, readOnly: true }), ...writing]);
  const model = new Uint8Array(SECTORS * SECTOR);
  await view.read(0, model);
  for (let i = 0; i < 80; i++) {
    const sector = random(SECTORS - 200);
    const got = new Uint8Array(200 * SECTOR);
    // At the same time: what is read may be overwritten meanwhile.
    await Promise.all([
      view.read(sector, got),
      guest.write(sector + random(190), filled(random(250), 8)),
      guest.range(ZERO, random(SECTORS - 20), 20),
    ]);
    assert.deepEqual(got, model.subarray(sector * SECTOR, (sector + 200) * SECTOR));
  }
  await view.end();
  guest.check();
});

void test('an overlay that may keep too little breaks, and the first user does not notice', async () => {
  const guest = new DiskGuest(memory());
  const view = await guest.device.share({ overlay: 2 * 128 * SECTOR });
  const into = new Uint8Array(SECTOR);
  for (const block of [0, 1]) await guest.write(block * 128, filled(1));
  await view.read(0, into);
  assert.deepEqual(into, filled(0));
  assert.equal((await guest.write(300, filled(1))).status, 0);
  await assert.rejects(view.read(0, into), { name: 'BlockError', code: 'full' });
  guest.check();
});

void test('users share what there is by their weights', async () => {
  const guest = new DiskGuest(memory());
  const { device } = guest;
  const view = await device.share({ readOnly: true, weight: 3 });
  const limit = await device.limit({ operationsPerSecond: 400, burst: 0.01 });
  const done = [0, 0];
  let isOver = false;
  const first = async (): Promise<void> => {
    while (!isOver) {
      await guest.read(0);
      done[0]++;
    }
  };
  const second = async (): Promise<void> => {
    while (!isOver) {
      await view.read(0, new Uint8Array(SECTOR));
      done[1]++;
    }
  };
  const all = Promise.all([...Array.from({ length: 8 }, first), ...Array.from({ length: 8 }, second)]);
  await new Promise((resolve) => setTimeout(resolve, 700));
  isOver = true;
  await all;
  const ratio = done[1] / done[0];
  assert.ok(ratio > 2 && ratio < 4.2, `${done.join(' and ')} requests`);
  await Promise.all([limit.end(), view.end()]);
  assert.equal(device.mode, 'direct');
  guest.check();
});

void test('a user with a bandwidth of its own has that, and holds nobody else up', async () => {
  const guest = new DiskGuest(memory());
  const { device } = guest;
  const view = await device.share({ readOnly: true, bandwidth: 100_000 });
  const into = new Uint8Array(8 * SECTOR);
  const begin = performance.now();
  let others = 0;
  let isOver = false;
  const other = (async (): Promise<void> => {
    while (!isOver) {
      await guest.read(0);
      others++;
    }
  })();
  // A tenth of a second's worth comes at once.
  for (let bytes = 0; bytes < 50_000; bytes += into.length) await view.read(0, into);
  const ms = performance.now() - begin;
  isOver = true;
  await other;
  assert.ok(ms > 330, `50,000 bytes in ${ms} ms`);
  assert.ok(others > 100, `${others} requests of the other`);
  await view.end();
  guest.check();
});

void test('what cannot be is refused before the monitor steps in', async () => {
  const guest = new DiskGuest(memory());
  const { device } = guest;
  const limits: RateLimit[] = [
    {},
    { bytesPerSecond: 0 },
    { bytesPerSecond: -1 },
    { operationsPerSecond: NaN },
    { operationsPerSecond: Infinity },
    { bytesPerSecond: 1, burst: 0 },
    { bytesPerSecond: '1' as unknown as number },
  ];
  for (const limit of limits) await assert.rejects(device.limit(limit), isInvalid, JSON.stringify(limit));
  const rules: DiskDisturbance[] = [
    {},
    { requests: ['read'], errors: 0 },
    { latency: -1 },
    { latency: NaN },
    { jitter: -1 },
    { errors: 1.1 },
    { errors: -0.1 },
    { requests: ['trim' as 'read'] },
    { first: SECTORS },
    { sectors: 0 },
    { first: 0.5 },
  ];
  for (const rule of rules) await assert.rejects(device.disturb(rule), isInvalid, JSON.stringify(rule));
  const shares: DiskShareOptions[] = [
    {},
    { first: 0, sectors: SECTORS + 1 },
    { first: -1 },
    { readOnly: true, weight: 0 },
    { readOnly: true, weight: NaN },
    { overlay: -1 },
    { overlay: NaN },
    { readOnly: true, bandwidth: 0 },
    { readOnly: true, bandwidth: NaN },
  ];
  for (const share of shares) await assert.rejects(device.share(share), isInvalid, JSON.stringify(share));
  await assert.rejects(device.moveTo(memory(SECTORS - 1)), isInvalid);
  await assert.rejects(device.moveTo(guest.disk), isInvalid);
  for (const place of ['/x', undefined, {}, device]) await assert.rejects(device.moveTo(place as never), isInvalid);
  await assert.rejects(device.moveTo(new MemoryDisk(new Uint8Array(SECTORS * SECTOR), 'ro', true)), isInvalid);
  assert.equal(device.counters.interposed, 0);
});

void test('a share has one instance at a time, and none after its end', async () => {
  const { device } = new DiskGuest(memory());
  const view = await device.share({ overlay: true });
  assert.ok(device.uses.includes(view));
  const unplug = view.plug();
  assert.throws(() => view.plug(), { name: 'InterpositionError', code: 'in-use' });
  unplug();
  const again = view.plug();
  await view.end();
  again();
  assert.throws(() => view.plug(), { name: 'InterpositionError', code: 'closed' });
});

void test('the instance goes: its views fail, its uses are over, and the next one finds nothing of them', async () => {
  const guest = new DiskGuest(memory());
  const { device } = guest;
  const view = await device.share({ overlay: true });
  const watch = await device.watch(() => undefined);
  await device.disturb({ errors: 1 });
  assert.equal((await guest.read(0)).status, 1);
  await device.leave();
  await assert.rejects(view.read(0, new Uint8Array(SECTOR)), { name: 'BlockError' });
  assert.deepEqual(device.uses, []);
  await watch.end();
  await view.end();
  await assert.rejects(
    device.watch(() => undefined),
    { code: 'mode' },
  );
  assert.equal(device.mode, 'unused');
});
