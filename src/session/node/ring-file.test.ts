import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import fs, {
  openSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SessionError } from '../errors.js';
import { createKey, revoke, rotate } from '../ring-life.js';
import { formatRing } from '../ring-text.js';
import { DEFAULT_POLICY, sealingKey } from '../ring.js';
import type { KeyRing, RingContent } from '../ring.js';
import { verdict } from '../testing/faces.js';
import { changeRingFile, readRingFile } from './ring-file.js';
import { createSessionsSync } from './sessions.js';
import { openRing } from './shared-ring.js';
import type { RingNotice } from './shared-ring.js';

const folder = mkdtempSync(join(tmpdir(), 'session-ring-'));
after(() => rmSync(folder, { recursive: true }));

const random = (bytes: Uint8Array) => void randomFillSync(bytes);
const empty: RingContent = { policy: DEFAULT_POLICY, keys: [] };
const isError = (code: string) => (error: unknown) => error instanceof SessionError && error.code === code;
let files = 0;
const newPath = () => join(folder, `ring-${files++}.json`);

async function newFile(now = Date.now(), policy = DEFAULT_POLICY): Promise<string> {
  const path = newPath();
  await changeRingFile(path, () => createKey({ ...empty, policy }, now, random).content);
  return path;
}

describe('a key ring in a file', () => {
  it('says so when its folder cannot be made, and does not try for ever', async () => {
    await assert.rejects(openRing('/proc/understudy/a/keys.json', { create: true }), isError('file'));
    await assert.rejects(openRing(join(await newFile(), 'below/a/file.json'), { create: true }), isError('file'));
    const path = join(folder, 'deep/er/keys.json');
    await openRing(path, { create: true, autoRotate: false });
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
  });

  it('is for its owner alone, and leaves nothing beside it', async () => {
    const path = await newFile();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.tmp') || name.endsWith('.lock')),
      [],
    );
  });

  it('is not read when others have access to it', async () => {
    const path = await newFile();
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o666]) {
      chmodSync(path, mode);
      assert.throws(() => readRingFile(path), isError('unsafe-file'), mode.toString(8));
    }
    chmodSync(path, 0o400);
    assert.equal(readRingFile(path).keys.length, 1);
  });

  it('is read where others may read it when that is asked for, but never where they may write it', async () => {
    const path = await newFile();
    // Kubernetes' and Docker's secrets, and the default of both for config files.
    for (const mode of [0o440, 0o444, 0o644, 0o640, 0o400, 0o600]) {
      chmodSync(path, mode);
      assert.equal(readRingFile(path, { othersMayRead: true }).keys.length, 1, mode.toString(8));
    }
    for (const mode of [0o620, 0o602, 0o666, 0o422]) {
      chmodSync(path, mode);
      assert.throws(() => readRingFile(path, { othersMayRead: true }), isError('unsafe-file'), mode.toString(8));
    }
  });

  it('says how to make it when it is not there', () => {
    assert.throws(() => readRingFile(newPath()), /understudy keys create/);
  });

  it('is as it was when a change fails', async () => {
    const path = await newFile();
    const before = readFileSync(path, 'utf8');
    const failing = changeRingFile(path, () => {
      throw new Error('changed my mind');
    });
    await assert.rejects(failing, /changed my mind/);
    assert.equal(readFileSync(path, 'utf8'), before);
    assert.ok(!existsSync(`${path}.lock`));
  });

  it('is replaced behind a link, and the link stays', async () => {
    const path = await newFile();
    const link = newPath();
    symlinkSync(path, link);
    await changeRingFile(link, (content) => rotate(content ?? empty, Date.now(), random).content);
    assert.equal(readRingFile(path).keys.length, 2);
    assert.equal(readRingFile(link).keys.length, 2);
  });

  it('loses no change of several processes, and is whole at every moment', async () => {
    const path = await newFile();
    const changes = 12;
    const module = fileURLToPath(new URL('../../session/index.js', import.meta.url));
    const program = `
      import { randomFillSync } from 'node:crypto';
      import { createKey } from ${JSON.stringify(module)};
      import { changeRingFile } from ${JSON.stringify(fileURLToPath(new URL('./index.js', import.meta.url)))};
      for (let i = 0; i < ${changes}; i++)
        await changeRingFile(process.argv[2], (c) => createKey(c, Date.now(), (b) => randomFillSync(b)).content);
    `;
    // From a file, which every runtime takes the same way.
    const script = join(folder, 'writer.mjs');
    writeFileSync(script, program);
    const writers = [1, 2, 3].map(() => spawn(process.execPath, [script, path], { stdio: 'inherit' }));
    const ends = Promise.all(writers.map(async (writer) => (await once(writer, 'exit')) as [number]));
    let running = true;
    void ends.then(() => (running = false));
    let reads = 0;
    while (running) {
      assert.ok(readRingFile(path).keys.length >= 1);
      reads++;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.deepEqual(
      (await ends).map(([code]) => code),
      [0, 0, 0],
    );
    assert.ok(reads > 10);
    assert.equal(readRingFile(path).keys.length, 1 + 3 * changes);
  });

  it('is freed from the lock of a process that died', async () => {
    const path = await newFile();
    writeFileSync(`${path}.lock`, '99999999 dead\n');
    const longAgo = Date.now() / 1000 - 60;
    utimesSync(`${path}.lock`, longAgo, longAgo);
    await changeRingFile(path, (content) => createKey(content ?? empty, Date.now(), random).content);
    assert.equal(readRingFile(path).keys.length, 2);
    assert.ok(!existsSync(`${path}.lock`));
  });
});

describe('servers that share a ring', () => {
  const sessionsOf = (ring: KeyRing, clock: () => number) => createSessionsSync({ ring, purpose: 'shared', clock });
  const start = { activity: null, data: 'x' };

  it('a rotation logs nobody out: every server opens every seal, before, during and after', async () => {
    let now = Date.now();
    const clock = () => now;
    const path = await newFile(now);
    const [one, two] = [await openRing(path, { autoRotate: false }), await openRing(path, { autoRotate: false })];
    const servers = [sessionsOf(one, clock), sessionsOf(two, clock)];
    const seals: string[] = [];
    const keyIds = new Set<string>();
    for (let minute = 0; minute < 180; minute += 5) {
      if (minute === 30) await changeRingFile(path, (content) => rotate(content ?? empty, now, random).content);
      for (const server of servers) {
        const sealed = server.seal(server.create(start));
        assert.ok(sealed.ok);
        seals.push(sealed.seal);
        keyIds.add(Buffer.from(sealed.seal, 'base64url').subarray(1, 5).toString('hex'));
      }
      for (const seal of seals) for (const server of servers) assert.equal(await verdict(server, seal), 'ok');
      now += 5 * 60_000;
    }
    assert.equal(keyIds.size, 2);
  });

  it('a server that has not yet heard of a key looks for it at once', async () => {
    const now = Date.now();
    const path = await newFile(now);
    const late = sessionsOf(await openRing(path, { refresh: 3600 }), () => now);
    await changeRingFile(path, (content) => rotate(content ?? empty, now, random, { immediately: true }).content);
    const early = sessionsOf(await openRing(path), () => now);
    const sealed = early.seal(early.create(start));
    assert.ok(sealed.ok);
    assert.equal(await verdict(late, sealed.seal), 'ok');
  });

  it('a revocation reaches all of them with their next look', async () => {
    let now = Date.now();
    const path = await newFile(now);
    const server = sessionsOf(await openRing(path, { refresh: 5 }), () => now);
    const sealed = server.seal(server.create(start));
    assert.ok(sealed.ok);
    await changeRingFile(path, (content) => {
      const ring = content ?? empty;
      return revoke(ring, [ring.keys[0].id], now, random);
    });
    now += 10_000;
    assert.equal(await verdict(server, sealed.seal), 'revoked-key');
    assert.ok(server.seal(server.create(start)).ok, 'and sealing goes on with the key that replaced it');
  });

  it('go on with what they have when the file is spoilt, and say so', async () => {
    let now = Date.now();
    const path = await newFile(now);
    const errors: string[] = [];
    const ring = await openRing(path, { refresh: 1, onError: (error) => errors.push(error.code) });
    const server = sessionsOf(ring, () => now);
    writeFileSync(path, 'not a ring');
    now += 1500;
    assert.ok(server.seal(server.create(start)).ok);
    assert.deepEqual(errors, ['bad-ring']);
    rmSync(path);
    now += 1500;
    assert.ok(server.seal(server.create(start)).ok);
    assert.deepEqual(errors, ['bad-ring', 'file']);
    now += 1500;
    assert.ok(server.seal(server.create(start)).ok);
    assert.deepEqual(errors, ['bad-ring', 'file'], 'once while it lasts');
  });

  it('read a spoilt file once in a while, not for everybody who makes up a key id', async (t) => {
    let now = Date.now();
    const path = await newFile(now);
    const errors: string[] = [];
    const ring = await openRing(path, { refresh: 5, onError: (error) => errors.push(error.code) });
    const server = sessionsOf(ring, () => now);
    const genuine = server.seal(server.create(start));
    assert.ok(genuine.ok);
    writeFileSync(path, 'not a ring');
    // As root reads whatever it likes, reading itself is what is counted.
    const opens = t.mock.method(fs, 'openSync');
    syncBuiltinESMExports();
    // Bun and Deno do not let a test watch what modules have imported by name: errors are counted there all the same.
    const watched = openSync === fs.openSync;
    assert.ok(watched || 'Bun' in globalThis || 'Deno' in globalThis);
    const wasOpened = (times: number, why?: string) => watched && assert.equal(opens.mock.callCount(), times, why);
    const strangers = (count: number) => {
      for (let i = 0; i < count; i++) assert.equal(ring.find(0xdead0000 + i, now), undefined);
    };
    strangers(500);
    wasOpened(1);
    assert.deepEqual(errors, ['bad-ring']);
    now += 6000;
    strangers(500);
    wasOpened(2, 'and again when the time has come: the disk may have hiccuped');
    rmSync(path);
    strangers(500);
    wasOpened(3);
    assert.deepEqual(errors, ['bad-ring', 'file']);
    opens.mock.restore();
    syncBuiltinESMExports();
    // Mended, it is seen at once.
    await changeRingFile(path, () => createKey(empty, now, random).content);
    const [key] = readRingFile(path).keys;
    assert.ok(ring.find(key.id, now));
  });

  it('see at once that the right to read was given back', async () => {
    const now = Date.now();
    const path = await newFile(now);
    const errors: string[] = [];
    const ring = await openRing(path, { refresh: 3600, onError: (error) => errors.push(error.code) });
    await changeRingFile(path, (content) => createKey(content ?? empty, now, random).content);
    chmodSync(path, 0o644);
    const [, key] = readRingFile(path, { othersMayRead: true }).keys;
    assert.equal(ring.find(key.id, now), undefined);
    assert.deepEqual(errors, ['unsafe-file']);
    chmodSync(path, 0o600);
    assert.ok(ring.find(key.id, now));
  });

  it('rotate though somebody asks for made-up key ids all the time', async () => {
    const day = 86_400_000;
    let now = Date.now();
    const path = await newFile(now);
    const ring = await openRing(path, { refresh: 5 });
    // Every second, each such question looks at the file: from before the time has come until after.
    now += 90 * day - 3 * 3_600_000 - 30_000;
    for (let i = 0; i < 60; i++, now += 1000) ring.find(0xdead0000 + i, now);
    for (let tries = 0; readRingFile(path).keys.length === 1 && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(readRingFile(path).keys.length, 2);
    while (existsSync(`${path}.lock`)) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('rotate by themselves in good time, one of them for all', async () => {
    const day = 86_400_000;
    let now = Date.now();
    const path = await newFile(now);
    const rings = await Promise.all([1, 2, 3].map(() => openRing(path, { refresh: 1 })));
    now += 90 * day - 2 * 3_600_000;
    for (const ring of rings) assert.ok(ring.sealingKey(now));
    for (let tries = 0; readRingFile(path).keys.length === 1 && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    // Whoever came second finds it done: wait for all of them to have had their turn at the lock.
    while (existsSync(`${path}.lock`)) await new Promise((resolve) => setTimeout(resolve, 10));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(readRingFile(path).keys.length, 2);
    now += 3_600_000;
    const ids = new Set(rings.map((ring) => ring.sealingKey(now).id));
    assert.equal(ids.size, 1);
    assert.equal(ids.values().next().value, sealingKey(readRingFile(path), now)?.id);
  });

  it('make the ring when asked to, once, whoever comes first', async () => {
    const path = newPath();
    await assert.rejects(openRing(path), isError('file'));
    const rings = await Promise.all([1, 2, 3, 4].map(() => openRing(path, { create: true })));
    assert.equal(new Set(rings.map((ring) => ring.sealingKey(Date.now()).id)).size, 1);
    assert.equal(readRingFile(path).keys.length, 1);
    assert.equal(formatRing(rings[0].content), readFileSync(path, 'utf8'));
  });

  it('make its folder too, for themselves alone', async () => {
    const path = join(folder, 'not', 'yet', 'there', 'ring.json');
    await assert.rejects(openRing(path), isError('file'));
    assert.ok(!existsSync(dirname(path)), 'not unless asked to');
    const rings = await Promise.all([1, 2, 3].map(() => openRing(path, { create: true })));
    assert.equal(new Set(rings.map((ring) => ring.sealingKey(Date.now()).id)).size, 1);
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
    const blocked = join(path, 'below', 'a', 'file.json');
    await assert.rejects(openRing(blocked, { create: true }), isError('file'));
  });
});

describe('a ring that is only read', () => {
  const day = 86_400_000;
  const aged = async (age: number) => {
    const path = await newFile(Date.now() - age);
    chmodSync(path, 0o440);
    return path;
  };
  const notices = () => {
    const list: RingNotice[] = [];
    return { list, onNotice: (notice: RingNotice) => void list.push(notice) };
  };

  it('opens as containers have it mounted, behind the links of Kubernetes, and follows them', async () => {
    // volume/keys.json -> ..data/keys.json, ..data -> ..2026: an update is a new folder and a new ..data.
    const volume = mkdtempSync(join(folder, 'volume-'));
    const version = (name: string, content: RingContent) => {
      mkdirSync(join(volume, name));
      writeFileSync(join(volume, name, 'keys.json'), formatRing(content), { mode: 0o440 });
      symlinkSync(name, join(volume, `${name}.link`));
      renameSync(join(volume, `${name}.link`), join(volume, '..data'));
    };
    let now = Date.now();
    const first = createKey(empty, now, random);
    version('..2026_01', first.content);
    symlinkSync('..data/keys.json', join(volume, 'keys.json'));
    const path = join(volume, 'keys.json');
    await assert.rejects(openRing(path), isError('unsafe-file'), 'only when asked for');
    const ring = await openRing(path, { readOnly: true });
    assert.equal(ring.sealingKey(now).id, first.key.id);
    const second = rotate(first.content, now, random, { immediately: true });
    version('..2026_02', second.content);
    now += 6000;
    assert.equal(ring.sealingKey(now).id, second.key.id);
  });

  it('tells that a rotation is due, once for each key, and is opened nevertheless', async () => {
    const path = await aged(90 * day - 3_600_000);
    const { list, onNotice } = notices();
    const errors: SessionError[] = [];
    const ring = await openRing(path, { readOnly: true, onNotice, onError: (error) => errors.push(error) });
    assert.deepEqual(
      list.map(({ code }) => code),
      ['rotation-due'],
    );
    assert.match(list[0].message, /this server only reads/);
    const [key] = ring.content.keys;
    assert.equal(list[0].sealsUntil, key.expires);
    let now = Date.now();
    for (let i = 0; i < 10; i++, now += 6000) assert.equal(ring.sealingKey(now).id, key.id);
    assert.equal(list.length, 1);
    now += 3_600_000;
    assert.throws(() => ring.sealingKey(now), isError('no-active-key'));
    assert.equal(list.length, 2);
    assert.equal(list[1].sealsUntil, undefined);
    assert.ok(ring.find(key.id, now), 'what was sealed still opens');
    assert.deepEqual(errors, []);
    assert.equal(readRingFile(path, { othersMayRead: true }).keys.length, 1);
    assert.ok(!existsSync(`${path}.lock`));
  });

  it('opens though no key seals any more: what was sealed can be read', async () => {
    const { list, onNotice } = notices();
    const ring = await openRing(await aged(95 * day), { readOnly: true, onNotice });
    assert.equal(list.length, 1);
    assert.ok(ring.find(ring.content.keys[0].id, Date.now()));
  });

  it('says nothing with autoRotate false: somebody else sees to it', async () => {
    const { list, onNotice } = notices();
    await openRing(await aged(95 * day), { readOnly: true, autoRotate: false, onNotice });
    assert.deepEqual(list, []);
  });

  it('is not created', async () => {
    await assert.rejects(openRing(newPath(), { readOnly: true, create: true }), isError('bad-argument'));
  });

  it('that cannot be rotated at the start is no reason not to start, while a key seals', async () => {
    // A name that leaves no room for ".lock": as in a folder that cannot be written, which stops everybody but root.
    const make = (letter: string, age: number) => {
      const path = join(folder, letter.repeat(252));
      writeFileSync(path, formatRing(createKey(empty, Date.now() - age, random).content), { mode: 0o600 });
      return path;
    };
    const errors: SessionError[] = [];
    const onError = (error: SessionError) => void errors.push(error);
    const [rotatable, dead] = [make('r', 90 * day - 3_600_000), make('d', 95 * day)];
    const [ring, failure] = await Promise.all([
      openRing(rotatable, { onError }),
      openRing(dead, { onError }).then(
        () => undefined,
        (error: unknown) => error,
      ),
    ]);
    assert.ok(ring.sealingKey(Date.now()));
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['file'],
    );
    assert.ok(isError('file')(failure), 'without a key that seals there is nothing to start with');
  });
});
