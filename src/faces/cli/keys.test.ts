import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { parseRing } from '../../session/index.js';
import { readRingFile } from '../../session/node/index.js';
import { keysCommand } from './keys.js';

const folder = mkdtempSync(join(tmpdir(), 'keys-'));
after(() => rmSync(folder, { recursive: true }));
const T0 = Date.UTC(2026, 0, 1);
let files = 0;

/** Runs the command on a file of its own, at a given time. */
function terminal() {
  const file = join(folder, `${files++}`, 'deep', 'keys.json');
  const clock = { now: T0 };
  const run = async (...args: string[]) => {
    let out = '';
    let error = '';
    const status = await keysCommand(args, {
      out: (text) => (out += text),
      error: (text) => (error += text),
      environment: { UNDERSTUDY_KEYS_FILE: file },
      now: () => clock.now,
    });
    return { status, out, error };
  };
  const states = async () => {
    const { out } = await run('list', '--json');
    const { keys } = JSON.parse(out) as { keys: { id: string; state: string }[] };
    return keys.map((key) => key.state);
  };
  return { file, clock, run, states };
}

describe('understudy keys', () => {
  it('creates the ring, for its owner alone, with a key that seals', async () => {
    const { file, run, states } = terminal();
    const { status, out } = await run('create');
    assert.equal(status, 0);
    assert.match(out, /^key [0-9a-f]{8} seals from 2026-01-01T00:00:00.000Z\n$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(dirname(file)).mode & 0o777, 0o700);
    assert.deepEqual(await states(), ['active']);
  });

  it('rotates: the new key waits, then takes over; the old one goes on opening', async () => {
    const { clock, run, states } = terminal();
    await run('create');
    clock.now += 86_400_000;
    assert.equal((await run('rotate')).status, 0);
    assert.deepEqual(await states(), ['active', 'created']);
    clock.now += 3_600_000;
    assert.deepEqual(await states(), ['expired', 'active']);
    clock.now += 1000;
    await run('rotate', '--now');
    assert.deepEqual(await states(), ['expired', 'expired', 'active']);
  });

  it('revokes keys by id, and all at once, and something always seals', async () => {
    const { file, run, states } = terminal();
    await run('create');
    await run('create');
    const id = readRingFile(file).keys[0].id.toString(16).padStart(8, '0');
    assert.equal((await run('revoke', id)).status, 0);
    assert.deepEqual((await states()).slice(0, 1), ['revoked']);
    assert.equal((await run('revoke', '--all')).status, 0);
    const after = await states();
    assert.deepEqual(
      after.filter((state) => state !== 'revoked'),
      ['active'],
    );
    assert.equal(readRingFile(file).keys.filter((key) => key.secret !== undefined).length, 1);
  });

  it('lists without a secret, in a table and as JSON', async () => {
    const { file, run } = terminal();
    await run('create');
    const secret = /"secret": "([^"]+)"/.exec(readFileSync(file, 'utf8'))?.[1] ?? assert.fail();
    for (const args of [['list'], ['list', '--json']]) {
      const { out } = await run(...args);
      assert.ok(!out.includes(secret));
    }
    assert.match(
      (await run('list')).out,
      /^KEY +STATE +CREATED +SEALS FROM +SEALS UNTIL +REVOKED\n[0-9a-f]{8} +active +2026-01-01 00:00 /,
    );
  });

  it('exports a line that is the ring', async () => {
    const { file, run } = terminal();
    await run('create', '--propagation', '60', '--lifetime', '86400', '--overlap', '7200');
    const { out } = await run('export');
    assert.deepEqual(parseRing(out), readRingFile(file));
    assert.deepEqual(readRingFile(file).policy, { propagation: 60, lifetime: 86_400, overlap: 7200 });
  });

  it('reads a mounted secret where it is told that others may read it, and never one that they may write', async () => {
    const { file, run } = terminal();
    await run('create');
    const own = await run('export');
    for (const mode of [0o444, 0o440, 0o644]) {
      chmodSync(file, mode);
      for (const command of ['list', 'export'] as const) {
        const refused = await run(command);
        assert.equal(refused.status, 1);
        assert.match(refused.error, /others have access .*--read-only/);
        assert.equal((await run(command, '--read-only')).status, 0);
      }
      assert.equal((await run('export', '--read-only')).out, own.out);
    }
    chmodSync(file, 0o646);
    assert.match((await run('list', '--read-only')).error, /others may write it/);
    for (const command of ['create', 'rotate', 'revoke']) {
      const { status, error } = await run(command, '--read-only');
      assert.equal(status, 2);
      assert.match(error, /--read-only goes with list and export/);
    }
  });

  it('says so when the folder cannot be made', async () => {
    const { run } = terminal();
    const { status, error } = await run('create', '--file', '/proc/understudy/a/keys.json');
    assert.equal(status, 1);
    assert.match(error, /its folder cannot be made/);
  });

  it('says what is wrong: 1 for the ring, 2 for the command line', async () => {
    const { file, run } = terminal();
    for (const [args, status, message] of [
      [['list'], 1, /does not exist: make it with "understudy keys create"/],
      [['rotate'], 1, /does not exist/],
      [['revoke', '00000000'], 1, /does not exist/],
      [['revoke'], 2, /which key/],
      [['revoke', 'xyz'], 2, /not a key id/],
      [['frobnicate'], 2, /no command "frobnicate"/],
      [['list', 'extra'], 2, /takes no "extra"/],
      [['create', '--lifetime', 'long'], 2, /whole number of seconds/],
      [['list', '--nope'], 2, /nope/],
    ] as const) {
      const result = await run(...args);
      assert.equal(result.status, status, args.join(' '));
      assert.match(result.error, message);
    }
    await run('create');
    assert.match((await run('revoke', '00000000')).error, /has no key 00000000/);
    assert.equal((await run('create', '--overlap', '5')).status, 2);
    chmodSync(file, 0o644);
    assert.match((await run('list')).error, /others have access \(mode 644\)/);
    assert.match((await run('--help')).out, /understudy keys rotate/);
  });
});
