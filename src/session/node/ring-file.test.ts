import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
});
