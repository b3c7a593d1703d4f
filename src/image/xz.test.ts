import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { toText } from './bytes.js';
import { ImageError } from './errors.js';
import { isXz, readXz } from './xz.js';

const SENTENCE = "The kernel's modules come compressed. ".repeat(40);
/** SENTENCE through `xz --check=crc32 --lzma2=dict=1MiB`. */
const PACKED = Buffer.from(
  '/Td6WFoAAAFpIt42AgAhARAAAACocI6G4AXvADJdACoaCKIC86hQ9pBpeuGC0q4sePTUny5uagLXU1vMKo1PP8oFhLGOVwpD5AmoWmc1zVYAAAAA2hk18QABSvALAAAAiyqj8j4wDYsCAAAAAAFZWg==',
  'base64',
);

/** xorshift32: the same numbers each time. */
function random(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

test('unpacks what xz packed', () => {
  assert.ok(isXz(PACKED));
  assert.equal(toText(readXz(PACKED)), SENTENCE);
});

test('no altered byte goes unseen', () => {
  for (let at = 0; at < PACKED.length - 32; at++) {
    for (const bit of [1, 0x10, 0x80]) {
      const altered = Uint8Array.from(PACKED);
      altered[at] ^= bit;
      assert.throws(() => readXz(altered), ImageError, `byte ${at}`);
    }
  }
});

test('no truncation goes unseen', () => {
  // The index and footer behind the last block say nothing of the contents, 32 bytes here.
  for (let length = 0; length < PACKED.length - 32; length++) {
    assert.throws(() => readXz(PACKED.subarray(0, length)), { code: 'corrupt' }, `${length} bytes`);
  }
});

const xz = spawnSync('xz', ['--version']).status === 0;
test('agrees with xz(1) on data of many kinds', { skip: xz ? false : 'this machine has no xz' }, () => {
  const next = random(7);
  const kinds: [string, Uint8Array][] = [
    ['empty', new Uint8Array(0)],
    ['one byte', Uint8Array.of(0)],
    ['zeroes', new Uint8Array(300_000)],
    ['noise', Uint8Array.from({ length: 200_000 }, next)],
    [
      'words',
      Buffer.from(Array.from({ length: 60_000 }, () => ['virtio', 'net ', 'blk', '\0\0'][next() & 3]).join('')),
    ],
    ['mixed', Uint8Array.from({ length: 2_500_000 }, (_, n) => ((n >> 12) & 1 ? next() & 0xff : (n * n) >> 9))],
  ];
  for (const options of [
    ['--lzma2=dict=1MiB'],
    ['--lzma2=preset=0,dict=4KiB,lc=0,lp=2,pb=0'],
    ['--lzma2=preset=9,lc=1,lp=3,pb=4'],
    ['--block-size=100000', '-6'],
  ]) {
    for (const [name, data] of kinds) {
      const packed = spawnSync('xz', ['--check=crc32', ...options, '-c'], { input: data, maxBuffer: 1e8 });
      assert.equal(packed.status, 0, String(packed.stderr));
      assert.ok(Buffer.compare(readXz(packed.stdout), data) === 0, `${name} with ${options.join(' ')}`);
    }
  }
});
