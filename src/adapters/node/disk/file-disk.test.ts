import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, link, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FileDisk } from './file-disk.js';
import { openLocal } from './local-file.js';

const MIB = 2 ** 20;
const folder = await mkdtemp(join(tmpdir(), 'disk-'));
after(() => rm(folder, { recursive: true }));
let count = 0;

/** A file of its own for a test. */
async function image(bytes: Uint8Array): Promise<string> {
  const path = join(folder, `image${count++}.raw`);
  await writeFile(path, bytes);
  return path;
}

test('a file is a disk', async () => {
  const bytes = Uint8Array.from({ length: 10 * 512 + 100 }, (_, i) => (i * 11) & 0xff);
  const path = await image(bytes);
  const disk = await FileDisk.open(path);
  assert.deepEqual([disk.sectors, disk.readOnly, disk.id], [10, false, 'image0.raw']);
  const got = new Uint8Array(1024);
  await disk.read(8, got);
  assert.deepEqual(got, bytes.subarray(8 * 512, 10 * 512));
  await disk.write(3, new Uint8Array(512).fill(9));
  await disk.flush();
  await disk.close();
  bytes.fill(9, 3 * 512, 4 * 512);
  assert.deepEqual(new Uint8Array(await readFile(path)), bytes);

  const fixed = await FileDisk.open(path, { readOnly: true });
  for (const attempt of [fixed.write(0, new Uint8Array(512)), fixed.discard(0, 1), fixed.zero(0, 1)]) {
    await assert.rejects(attempt, { code: 'read-only' });
  }
  await truncate(path, 512);
  await assert.rejects(fixed.read(1, new Uint8Array(512)), { code: 'range' });
  await fixed.close();
});

test('what is no disk is refused, and says what it is', async () => {
  await assert.rejects(FileDisk.open(await image(new Uint8Array(511))), { code: 'size' });
  await assert.rejects(FileDisk.open(await image(new Uint8Array(0))), { code: 'size' });
  await assert.rejects(FileDisk.open(join(folder, 'none')), { code: 'missing', message: /no such file/ });
  await assert.rejects(FileDisk.open(folder), { code: 'not-a-disk', message: /is a folder/ });
  await assert.rejects(FileDisk.open('/dev/null'), {
    code: 'not-a-disk',
    message: /neither a file nor a block device/,
  });
  const path = await image(new Uint8Array(512));
  await assert.rejects(FileDisk.open(join(path, 'below')), { code: 'missing' });
});

test('a file that may not be written is told so', async () => {
  const path = await image(new Uint8Array(512));
  await chmod(path, 0o444);
  await chmod(folder, 0o755);
  // Root may write everything, so somebody else tries.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    await assert.rejects(FileDisk.open(path), { code: 'permission', message: /read-only/ });
    await (await FileDisk.open(path, { readOnly: true })).close();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

test('images in other formats than raw are refused by their magic, unless they are said to be raw', async () => {
  const magics: readonly [at: number, magic: string, format: RegExp][] = [
    [0, 'QFI\xfb', /qcow2/],
    [0, 'KDMV', /VMDK/],
    [0x40, '\x7f\x10\xda\xbe', /VDI/],
    [0, 'vhdxfile', /VHDX/],
    [MIB - 512, 'conectix', /VHD/],
    [0, '\x1f\x8b\x08', /gzip/],
    [0, '\xfd7zXZ\0', /xz/],
    [0, '\x28\xb5\x2f\xfd', /zstd/],
  ];
  for (const [at, magic, format] of magics) {
    const bytes = new Uint8Array(MIB);
    bytes.set(Buffer.from(magic, 'latin1'), at);
    const path = await image(bytes);
    for (const readOnly of [false, true]) {
      await assert.rejects(FileDisk.open(path, { readOnly }), { code: 'format', message: format });
    }
    await (await FileDisk.open(path, { raw: true })).close();
    assert.deepEqual(new Uint8Array(await readFile(path)), bytes);
  }
});

test('a disk is written by one, or read by several, whatever it is called', async () => {
  const path = await image(new Uint8Array(MIB));
  const other = join(folder, 'symbolic');
  const hard = join(folder, 'hard');
  await symlink(path, other);
  await link(path, hard);
  const writer = await FileDisk.open(path);
  for (const name of [path, other, hard]) {
    await assert.rejects(FileDisk.open(name), { code: 'in-use', message: /another machine uses it/ });
    await assert.rejects(FileDisk.open(name, { readOnly: true }), { code: 'in-use', message: /writes it/ });
  }
  await (await FileDisk.open(path, { lock: false })).close();
  await writer.close();
  const readers = await Promise.all([path, other, hard].map((name) => FileDisk.open(name, { readOnly: true })));
  await assert.rejects(FileDisk.open(path), { code: 'in-use' });
  await Promise.all(readers.map((reader) => reader.close()));
  await (await FileDisk.open(path)).close();
});

test('a process that is killed, also while it makes holes, leaves no lock', async () => {
  const path = await image(new Uint8Array(MIB));
  const code = `import { FileDisk } from ${JSON.stringify(new URL('file-disk.js', import.meta.url).href)};
    const disk = await FileDisk.open(${JSON.stringify(path)});
    await disk.discard(0, 8);
    console.log('open');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await assert.rejects(FileDisk.open(path), { code: 'in-use' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await FileDisk.open(path)).close();
});

test('a disk on loan is closed when it has been given back, and not before', async () => {
  const disk = await FileDisk.open(await image(new Uint8Array(MIB).fill(6)));
  let asked = 0;
  let done = 3;
  const loan = disk.lend(() => {
    asked++;
    if (done-- > 0) return false;
    loan?.giveBack();
    return true;
  });
  assert.ok(loan);
  const closing = disk.close();
  assert.equal(
    disk.lend(() => true),
    undefined,
    'it is closed already, as far as borrowers go',
  );
  const got = new Uint8Array(512);
  assert.equal(openLocal(loan.handle).read([got], 0), 512, 'who has it can use it still');
  assert.equal(got[0], 6);
  await closing;
  assert.equal(asked, 4);
  assert.throws(() => openLocal(loan.handle).read([got], 0), { code: 'EBADF' });
});

test('where no lock can be had, that is said', async () => {
  const path = await image(new Uint8Array(512));
  const before = process.env['PATH'];
  process.env['PATH'] = folder;
  try {
    await assert.rejects(FileDisk.open(path), { code: 'no-lock', message: /util-linux/ });
    const disk = await FileDisk.open(path, { lock: false });
    // Nor can holes be made: zeroes are written, and what is discarded stays.
    await disk.write(0, new Uint8Array(512).fill(1));
    await disk.discard(0, 1);
    await disk.zero(0, 1);
    await disk.close();
    assert.deepEqual(new Uint8Array(await readFile(path)), new Uint8Array(512));
  } finally {
    process.env['PATH'] = before;
  }
});

test('what is discarded or zeroed takes no space on the host, and nothing else changes', async () => {
  const path = await image(new Uint8Array(4 * MIB).fill(5));
  const disk = await FileDisk.open(path);
  const used = async (): Promise<number> => (await stat(path)).blocks * 512;
  const full = await used();
  // Many at once, as when a file system is trimmed, some of them no whole blocks.
  await Promise.all(Array.from({ length: 16 }, (_, i) => disk.discard(i * 128, 127)));
  await disk.zero(2048 + 1, 2046);
  assert.ok((await used()) <= full - 1.8 * MIB, `${full - (await used())} bytes came back`);
  const now = new Uint8Array(await readFile(path));
  assert.equal(now.length, 4 * MIB);
  for (let sector = 0; sector < 8192; sector++) {
    const gone = sector < 2048 ? sector % 128 !== 127 : sector > 2048 && sector < 2048 + 2047;
    assert.equal(now[sector * 512], gone ? 0 : 5, `sector ${sector}`);
  }
  await disk.close();
});

test('a block device has its size, and is not taken from whoever has it mounted', async (t) => {
  const path = await image(new Uint8Array(3 * MIB + 512));
  let device: string;
  try {
    device = execFileSync('losetup', ['--find', '--show', path], { encoding: 'utf8' }).trim();
  } catch {
    t.skip('there is no loop device to be had');
    return;
  }
  try {
    const disk = await FileDisk.open(device);
    assert.equal(disk.sectors, (3 * MIB) / 512 + 1);
    await disk.write(disk.sectors - 1, new Uint8Array(512).fill(3));
    await assert.rejects(FileDisk.open(device), { code: 'in-use' });
    await disk.flush();
    await disk.close();
    assert.equal((await readFile(path)).at(-1), 3);
  } finally {
    execFileSync('losetup', ['--detach', device]);
  }
});
