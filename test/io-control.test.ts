/** A machine in one process, and what another does at its devices. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { start, understudy, understudyCommand, type Finished, type Running } from './testing/command-line.js';
import { testImage } from './testing/images.js';

let folder = '';
let machine: Running;
let env: NodeJS.ProcessEnv = {};
const io = (...args: string[]): Promise<Finished> => understudy(['io', ...args], env);

async function done(...args: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await io(...args, '--json');
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

interface Device {
  readonly id: string;
  readonly kind: string;
  readonly mode: string;
  readonly user: string;
  readonly uses: readonly string[];
  readonly counters: { readonly interposed: number; readonly steppedAway: number };
}
const devices = async (): Promise<readonly Device[]> => (await done('list'))['devices'] as readonly Device[];
const modeOf = async (id: string): Promise<string | undefined> => (await devices()).find((d) => d.id === id)?.mode;

before(async () => {
  await testImage('trixie');
  folder = await mkdtemp(join(tmpdir(), 'understudy-io-'));
  env = { XDG_RUNTIME_DIR: folder };
  const disk = join(folder, 'disk.img');
  await writeFile(disk, Buffer.alloc(1 << 20, 'disk'));
  const script = `echo ready; n=0; while [ ! -e /stop ]; do
    dd if=/dev/vda of=/dev/null bs=4k count=4 iflag=direct 2> /dev/null || echo failed
    dd if=/dev/vda of=/dev/vda bs=4k count=1 seek=8 oflag=direct conv=notrunc,fsync 2> /dev/null || echo failed
    n=$((n+1)); sleep 0.02; done`;
  machine = start(
    ...understudyCommand([
      ...['run', '--name', 'web', '--disk', disk, '--memory', '192', '--timeout', '200', '--command', script],
      ...['--beside', '160M'],
    ]),
    env,
  );
  machine.child.stdin?.end();
  await machine.until(/ready/);
});
after(async () => {
  machine.child.kill('SIGTERM');
  const { status } = await machine.finished;
  // Nothing of it remains.
  const left = await readdir(join(folder, 'understudy'));
  await rm(folder, { recursive: true });
  assert.deepEqual([status, left], [143, []]);
});

test('who drives what is listed, for people and for programs', { timeout: 120_000 }, async () => {
  const all = await devices();
  assert.deepEqual(all.map(({ id }) => id).sort(), ['console0', 'disk0', 'entropy0', 'nic0']);
  assert.ok(all.every(({ mode, user }) => mode === 'direct' && user === 'web'));
  const { stdout } = await io('list');
  assert.match(stdout, /^machine web\n/);
  assert.match(stdout, /disk0 +disk +direct +web/);
});

test('the monitor steps in and away, and says what it took', { timeout: 120_000 }, async () => {
  for (const id of ['nic0', 'disk0']) {
    const into = await done('interpose', id, '--machine', 'web');
    assert.equal(into['mode'], 'interposed');
    assert.ok(Number(into['waitMs']) >= 0 && Number(into['switchMs']) > 0);
    assert.equal(await modeOf(id), 'interposed');
    const again = await io('interpose', id);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /^understudy: .*interposed already/);
    const { status, stdout } = await io('step-away', id);
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`^${id} is direct: waited [\\d.]+ ms, switched in [\\d.]+ ms\\n$`));
  }
  const disk = (await devices()).find(({ id }) => id === 'disk0');
  assert.deepEqual([disk?.counters.interposed, disk?.counters.steppedAway], [1, 1]);
});

test(
  'requests are watched as long as it was said, and then the disk is direct again',
  { timeout: 120_000 },
  async () => {
    const { status, stdout } = await io('watch', 'disk0', '--for', '2s');
    assert.equal(status, 0);
    assert.match(stdout, /^[\d.]+ read sector \d+ \+\d+ [\d.]+ ms$/m);
    assert.match(stdout, /^[\d.]+ flush [\d.]+ ms$/m);
    assert.match(stdout, /^requests: read \d+, write \d+/m);
    assert.equal(await modeOf('disk0'), 'direct');
    const counted = await done('watch', 'disk0', '--for', '1s', '--count');
    assert.ok((counted['counts'] as Record<string, number>)['read'] > 0);
  },
);

test('Ctrl-C, or its sudden end, ends a use', { timeout: 120_000 }, async () => {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGKILL', null],
  ] as const) {
    const limit = start(...understudyCommand(['io', 'limit', 'disk0', '--operations', '50/s']), env);
    await limit.until(/limited/);
    const held = (await devices()).find(({ id }) => id === 'disk0');
    assert.deepEqual([held?.mode, held?.uses], ['interposed', ['requests are limited']]);
    const refused = await io('step-away', 'disk0', '--json');
    assert.equal((JSON.parse(refused.stdout) as { error: { code: string } }).error.code, 'in-use');
    limit.child.kill(signal);
    assert.equal((await limit.finished).status, status);
    const limitTime = performance.now() + 20_000;
    while ((await modeOf('disk0')) !== 'direct') assert.ok(performance.now() < limitTime, 'it stays');
  }
});

test('errors by rule reach the guest, and end with it', { timeout: 120_000 }, async () => {
  await done('disturb', 'disk0', '--errors', '1', '--requests', 'read', '--for', '1s');
  await machine.until(/failed/);
  const neither = await io('share', 'disk0', '--command', 'true');
  assert.equal(neither.status, 1);
  const wrong = await io('disturb', 'nic0', '--errors', '1');
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /for a disk/);
});

test('a second guest reads the disk beside the first', { timeout: 120_000 }, async () => {
  const script = 'head -c 8 /dev/vda; echo; echo mine > /dev/vda && head -c 5 /dev/vda; exit 7';
  const { status, stdout, stderr } = await io('share', 'disk0', '--overlay', '--command', script);
  assert.deepEqual([stdout, status], ['diskdisk\nmine\n', 7], stderr);
  assert.equal(await modeOf('disk0'), 'direct');
});

test(
  'a second guest has a card of its own on the first one, and frames are written for Wireshark',
  { timeout: 120_000 },
  async () => {
    const file = join(folder, 'frames.pcapng');
    const watch = start(...understudyCommand(['io', 'watch', 'nic0', '--pcap', file]), env);
    await watch.until(/Ctrl-C ends it/);
    const script = 'ip -4 -o addr show eth0; ping -c 1 10.0.2.2 > /dev/null && echo answered';
    const { status, stdout, stderr } = await io('share', 'nic0', '--command', script);
    assert.match(stdout, /inet 10\.0\.2\.\d+.*\nanswered\n$/, stderr);
    assert.equal(status, 0);
    watch.child.kill('SIGINT');
    assert.equal((await watch.finished).status, 130);
    const bytes = await readFile(file);
    // A section header block (draft-ietf-opsawg-pcapng, 4.1), and more than that.
    assert.deepEqual([bytes.readUInt32LE(0), bytes.readUInt32LE(8)], [0x0a0d0d0a, 0x1a2b3c4d]);
    assert.ok(bytes.length > 200, `${bytes.length} bytes`);
    assert.equal(await modeOf('nic0'), 'direct');
  },
);

test('a disk moves to another file while it is used', { timeout: 120_000 }, async () => {
  const other = join(folder, 'other.img');
  await writeFile(other, 'something');
  const refused = await io('move', 'disk0', '--to', other);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /--overwrite/);
  await rm(other);
  const report = await done('move', 'disk0', '--to', other);
  assert.ok(Number(report['bytes']) >= 1 << 20);
  const bytes = await readFile(other);
  assert.equal(bytes.length, 1 << 20);
  assert.equal(bytes.toString('latin1', 0, 8), 'diskdisk');
});

test('a machine that does not run is named', async () => {
  const { status, stderr } = await io('list', '--machine', 'nobody');
  assert.equal(status, 1);
  assert.match(stderr, /no machine called nobody runs/);
});
