import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appletNames } from './busybox.js';
import { toBytes } from './bytes.js';
import type { TarEntry } from './tar.js';
import { makeDynamic } from './testing/elf.js';
import { PackageTree, resolveLink } from './tree.js';

const entry = (path: string, rest: Partial<TarEntry> = {}): TarEntry => ({
  path,
  type: 'file',
  mode: 0o755,
  uid: 0,
  gid: 0,
  data: new Uint8Array(0),
  link: '',
  ...rest,
});
const link = (path: string, target: string): TarEntry => entry(path, { type: 'symlink', link: target });
const LIB = 'usr/lib/riscv64-linux-gnu';

test('a program comes with its links, libraries, and their libraries', () => {
  const tree = new PackageTree();
  tree.add([
    link('usr/bin/server', 'real-server'),
    entry('usr/bin/real-server', { data: makeDynamic(['liba.so.1'], '/lib/ld.so.1') }),
    link(`${LIB}/liba.so.1`, 'liba.so.1.2'),
    entry(`${LIB}/liba.so.1.2`, { data: makeDynamic(['libb.so.1', 'liba.so.1']) }),
    entry('lib/riscv64-linux-gnu/libb.so.1', { data: makeDynamic([]) }),
    link('lib/ld.so.1', 'riscv64-linux-gnu/ld.so.1'),
    entry(`${LIB}/ld.so.1`, { data: makeDynamic([]) }),
    entry(`${LIB}/unused.so`, { data: makeDynamic([]) }),
  ]);
  const closure = tree.closure(['usr/bin/server']);
  assert.deepEqual(closure.map((e) => e.path).sort(), [
    'usr/bin/real-server',
    'usr/bin/server',
    'usr/lib/ld.so.1',
    `${LIB}/ld.so.1`,
    `${LIB}/liba.so.1`,
    `${LIB}/liba.so.1.2`,
    `${LIB}/libb.so.1`,
  ]);
  assert.equal(closure.find((e) => e.path === 'usr/bin/server')?.symlink, 'real-server');
});

test('a library that no package has is named, with who needs it', () => {
  const tree = new PackageTree();
  tree.add([entry('usr/bin/p', { data: makeDynamic(['libmissing.so.3']) })]);
  assert.throws(() => tree.closure(['usr/bin/p']), {
    code: 'not-found',
    message: /\/usr\/bin\/p needs libmissing\.so\.3/,
  });
  assert.throws(() => tree.closure(['usr/bin/q']), { code: 'not-found', message: /\/usr\/bin\/q/ });
});

test('hard links have the contents of what they are linked to; circles end', () => {
  const tree = new PackageTree();
  tree.add([
    entry('usr/bin/a', { data: toBytes('x') }),
    entry('bin/b', { type: 'hardlink', link: 'usr/bin/a' }),
    link('usr/l', 'l'),
  ]);
  assert.deepEqual(tree.file('usr/bin/b'), toBytes('x'));
  assert.throws(() => tree.file('usr/l'), { code: 'corrupt' });
});

test('links lead where they lead', () => {
  assert.equal(resolveLink('usr/lib/x', '../bin/y'), 'usr/bin/y');
  assert.equal(resolveLink('usr/lib/x', '/etc/./z'), 'etc/z');
  assert.equal(resolveLink('a', '../../..'), '');
});

test("busybox's names are read from the program", () => {
  const program = toBytes('\x7fELF...[\0[[\0ash\0mount\0sh\0\0more');
  assert.deepEqual(appletNames(program), ['[', '[[', 'ash', 'mount', 'sh']);
  for (const bad of ['nothing', '[\0[[\0mount\0\0', '[\0[[\0sh', '[\0[[\0sh\0a/b\0\0']) {
    assert.throws(() => appletNames(toBytes(bad)), { code: 'not-found' }, bad);
  }
});
