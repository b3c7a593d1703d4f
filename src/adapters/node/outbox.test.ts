import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../net/testing/random.js';
import { Outbox } from './outbox.js';

test('what goes in comes out, in order, whatever the sizes', () => {
  const random = seeded(7);
  for (let round = 0; round < 100; round++) {
    const outbox = new Outbox();
    const sent: number[] = [];
    for (let n = 0; n < 200; n++) {
      const chunk = Uint8Array.from({ length: Math.floor(random() ** 3 * 3000) }, () => random() * 256);
      sent.push(...chunk);
      outbox.push(chunk);
      assert.equal(outbox.bytes, sent.length);
    }
    const out = outbox.take();
    assert.deepEqual(
      out.flatMap((chunk) => [...chunk]),
      sent,
    );
    assert.equal(outbox.bytes, 0);
    assert.deepEqual(outbox.take(), []);
  }
});

test('single octets are kept in little more than their number of bytes, and may be written over afterwards', () => {
  const outbox = new Outbox();
  const octet = new Uint8Array(1);
  for (let n = 0; n < 100_000; n++) {
    octet[0] = n;
    outbox.push(octet);
  }
  const out = outbox.take();
  assert.ok(out.reduce((sum, chunk) => sum + chunk.buffer.byteLength, 0) < 120_000);
  assert.ok(out.length < 10);
  assert.equal(out[0][77], 77);
});
