import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { toBytes, toText } from './bytes.js';
import { readNeeded, readSections, stringAt, viewOf } from './elf.js';
import { stripModule } from './strip.js';
import { makeDynamic, makeModule } from './testing/elf.js';

function symbolNames(file: Uint8Array): string[] {
  const sections = readSections(file);
  const symtab = sections.find((s) => s.name === '.symtab')!;
  const strings = sections[symtab.sh_link].data;
  return Array.from({ length: symtab.data.length / 24 }, (_, n) =>
    stringAt(strings, viewOf(symtab.data).getUint32(n * 24, true)),
  );
}

test('debugging information goes, code and what the kernel reads stays', () => {
  const module = makeModule(['name=x', 'depends=']);
  const stripped = stripModule(module);
  assert.deepEqual(
    readSections(stripped).map((s) => s.name),
    ['', '.text', '.rela.text', '.modinfo', '.bss', '.symtab', '.strtab', '.shstrtab'],
  );
  const get = (name: string) => readSections(stripped).find((s) => s.name === name)!;
  assert.equal(toText(get('.text').data), 'code of the module');
  assert.equal(toText(get('.modinfo').data), 'name=x\0depends=\0');
  assert.equal(get('.bss').sh_size, 4096);
  assert.ok(stripped.length < module.length - 8000);
  assert.ok(!toText(stripped).includes('Module signature'));
});

test('symbols stay when code or the linker needs them, and relocations follow them', () => {
  const stripped = stripModule(makeModule([]));
  assert.deepEqual(symbolNames(stripped), ['', 'local_used', 'init_module', 'printk']);
  const sections = readSections(stripped);
  const rela = sections.find((s) => s.name === '.rela.text')!;
  const named = [0, 1].map((n) => symbolNames(stripped)[viewOf(rela.data).getUint32(n * 24 + 12, true)]);
  assert.deepEqual(named, ['local_used', 'printk']);
  assert.equal(sections[rela.sh_info].name, '.text');
  assert.equal(sections[rela.sh_link].name, '.symtab');
  assert.equal(sections.find((s) => s.name === '.symtab')!.sh_info, 2, 'the first global symbol');
});

test('stripping twice changes nothing more', () => {
  const once = stripModule(makeModule(['name=x']));
  assert.deepEqual(stripModule(once), once);
});

const readelf = spawnSync('readelf', ['--version']).status === 0;
test('readelf finds nothing to complain of', { skip: readelf ? false : 'this machine has no readelf' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-elf-'));
  try {
    const path = join(folder, 'x.ko');
    writeFileSync(path, stripModule(makeModule(['name=x'])));
    const result = spawnSync('readelf', ['-aW', path], { encoding: 'utf8' });
    assert.equal(result.status, 0);
    assert.equal(result.stderr, '');
    assert.match(result.stdout, /local_used/);
    assert.ok(readFileSync(path).length > 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what is no ELF file, or reaches outside itself, is refused', () => {
  const module = makeModule([]);
  assert.throws(() => stripModule(toBytes('#!/bin/sh')), { code: 'corrupt' });
  assert.throws(() => stripModule(module.subarray(0, 200)), { code: 'corrupt' });
  assert.throws(() => stripModule(makeDynamic(['libc.so.6']).fill(3, 16, 17)), { code: 'corrupt' });
  const outside = module.slice();
  // sh_size of the second section.
  const table = Number(viewOf(outside).getBigUint64(40, true));
  viewOf(outside).setBigUint64(table + 64 + 32, 1n << 40n, true);
  assert.throws(() => stripModule(outside), { code: 'corrupt' });
});

test('the libraries and the interpreter a program names are read', () => {
  assert.deepEqual(readNeeded(makeDynamic(['libm.so.6', 'libc.so.6'], '/lib/ld.so.1')), {
    interpreter: '/lib/ld.so.1',
    libraries: ['libm.so.6', 'libc.so.6'],
  });
  assert.deepEqual(readNeeded(makeDynamic([])), { interpreter: undefined, libraries: [] });
});
