/** The three structures that keep ranges, against models that keep single octets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../testing/random.js';
import { Reassembly } from './reassembly.js';
import { Scoreboard } from './scoreboard.js';
import { SendQueue } from './send-queue.js';

/** Starts that make the ranges cross 2^31 and 2^32. */
const ORIGINS = [0, 0x7fff_ff80 | 0, 0xffff_ff80 | 0];

test('reassembly gives every octet once, in order, whatever comes', () => {
  const random = seeded(11);
  for (let round = 0; round < 600; round++) {
    const origin = ORIGINS[round % 3];
    const stream = Uint8Array.from({ length: 300 }, () => random() * 256);
    const reassembly = new Reassembly();
    const got: number[] = [];
    let tries = 0;
    while (got.length < stream.length && tries++ < 5000) {
      const from = Math.floor(random() * stream.length);
      const to = Math.min(stream.length, from + 1 + Math.floor(random() * 40));
      if (to <= got.length) continue;
      const start = Math.max(from, got.length);
      reassembly.insert((origin + start) | 0, stream.subarray(start, to));
      for (;;) {
        const data = reassembly.take((origin + got.length) | 0);
        if (data === undefined) break;
        got.push(...data);
      }
      const blocks = reassembly.blocks();
      for (let i = 0; i < blocks.length; i += 2) assert.ok(((blocks[i + 1] - blocks[i]) | 0) > 0);
      assert.ok(blocks.length <= 6);
    }
    assert.deepEqual(got, [...stream]);
    assert.ok(reassembly.isEmpty || reassembly.take((origin + got.length) | 0) === undefined);
  }
});

test('reassembly keeps a bounded number of pieces', () => {
  const reassembly = new Reassembly();
  for (let i = 0; i < 5000; i++) reassembly.insert(2 * i + 1, Uint8Array.of(i));
  let kept = 0;
  for (let i = 0; i < 5000; i++) if (reassembly.take(2 * i + 1) !== undefined) kept++;
  assert.equal(kept, 1024);
});

test('the scoreboard knows every octet that was reported and no other', () => {
  const random = seeded(12);
  for (let round = 0; round < 400; round++) {
    const origin = ORIGINS[round % 3];
    const board = new Scoreboard();
    const model = new Array<boolean>(200).fill(false);
    let una = 0;
    for (let i = 0; i < 30; i++) {
      if (random() < 0.2) {
        una = Math.min(199, una + Math.floor(random() * 20));
        board.trim((origin + una) | 0);
        model.fill(false, 0, una);
      }
      const left = una + Math.floor(random() * (199 - una));
      const right = Math.min(200, left + 1 + Math.floor(random() * 20));
      const news = model.slice(left, right).includes(false);
      assert.equal(board.add((origin + left) | 0, (origin + right) | 0), news);
      model.fill(true, left, right);
      assert.equal(board.total, model.filter(Boolean).length);
      assert.equal(board.highest, (origin + model.lastIndexOf(true) + 1) | 0);
      for (let at = 0; at < 200; at++) {
        let skip = at;
        while (skip < 200 && model[skip]) skip++;
        assert.equal(board.skip((origin + at) | 0), (origin + skip) | 0);
        if (model[at]) continue;
        let next = at;
        while (next < 200 && !model[next]) next++;
        assert.equal(board.nextLeft((origin + at) | 0, (origin + 200) | 0), (origin + next) | 0);
      }
    }
  }
});

test('the send queue gives back what was put in, from any offset', () => {
  const random = seeded(13);
  const queue = new SendQueue();
  let model: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const dice = random();
    if (dice < 0.3) {
      const chunk = Uint8Array.from({ length: Math.floor(random() * 30) }, () => random() * 256);
      queue.push(chunk);
      model.push(...chunk);
    } else if (dice < 0.5) {
      const count = Math.floor(random() * Math.min(60, model.length + 1));
      queue.drop(count);
      model = model.slice(count);
    } else if (model.length > 0) {
      const offset = Math.floor(random() * model.length);
      const length = Math.floor(random() * (model.length - offset + 1));
      if (length === 0) continue;
      const target = new Uint8Array(length + 4);
      queue.copy(offset, length, target, 2);
      assert.deepEqual([...target.subarray(2, 2 + length)], model.slice(offset, offset + length));
    }
    assert.equal(queue.length, model.length);
  }
});
