import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agree, settle, STATE, type Connection } from './tcp-repair.js';

/** An end that has received up to `receiveSeq`, and whose `sent` and `unsent` bytes end at `sendSeq`. */
function end(receiveSeq: number, sendSeq: number, sent = 0, unsent = 0): Connection {
  return {
    info: { state: STATE.ESTABLISHED, options: 0, sendScale: 0, receiveScale: 0, unacked: 0, sacked: 0 },
    mss: 1460,
    timestamp: 0,
    receiveSeq,
    sendSeq,
    received: new Uint8Array(0),
    sent: new Uint8Array(sent),
    unsent: new Uint8Array(unsent),
    window: new Uint8Array(20),
  };
}

test('two ends at rest agree, also where sequence numbers begin anew', () => {
  assert.ok(agree(end(100, 900), end(900, 100)));
  assert.ok(agree(end(100, 5, 10), end(0xffff_fffb, 100)), 'ten bytes sent, none arrived');
  assert.ok(agree(end(100, 5, 10), end(2, 100)), 'some arrived, and the acknowledgement was lost');
  assert.ok(agree(end(100, 905, 0, 5), end(900, 100)), 'what is still to be sent');
});

test('two ends do not agree if one was told of bytes that the other was read without', () => {
  assert.ok(!agree(end(100, 900), end(890, 100)), 'acknowledged, but not in the queue');
  assert.ok(!agree(end(890, 100), end(100, 900)), 'the same, seen from the other end');
});

test('two ends do not agree if one has what the other was read before sending', () => {
  assert.ok(!agree(end(100, 905, 0, 5), end(905, 100)));
});

test('what was sent and has not arrived is to be sent, before what was to be sent anyway', () => {
  const from: Connection = {
    ...end(100, 5),
    sent: new Uint8Array([1, 2, 3, 4, 5, 6]),
    unsent: new Uint8Array([7, 8]),
  };
  const unacknowledged = 5 - 8;
  const settled = settle(from, end(unacknowledged + 2, 100));
  assert.deepEqual([...settled.sent], [1, 2]);
  assert.deepEqual([...settled.unsent], [3, 4, 5, 6, 7, 8]);
  assert.ok(agree(settled, end(unacknowledged + 2, 100)));
  assert.equal(settle(from, end(unacknowledged + 6, 100)), from, 'all has arrived');
});
