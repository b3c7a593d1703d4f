// Two servers, one client in the middle of a stream, one server killed: see the example.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatMessage, MessageReader, ProtocolError } from '../examples/session-streaming/messages.js';
import { TRACK_LENGTH } from '../examples/session-streaming/server.js';
import { tellStory } from '../examples/session-streaming/story.js';

describe('streaming servers that share nothing but the keys', () => {
  for (const killAfter of [1, 77, TRACK_LENGTH - 1]) {
    it(`go on at the right frame when one is killed after ${killAfter}`, async () => {
      const { played, whole } = await tellStory(killAfter, () => undefined);
      assert.ok(whole, 'every frame once, in order');
      // Frames that were already on their way when the server died still count as its own.
      assert.ok(played[0] >= killAfter);
      assert.equal(played[0] + played[1], TRACK_LENGTH);
      if (killAfter < 100) assert.ok(played[1] > 50, `the second played ${played[1]}`);
    });
  }
});

describe('messages in the manner of RTSP', () => {
  it('are found however the bytes are cut', () => {
    const bytes = Buffer.concat([
      formatMessage('PLAY stream://any/x RTSP/1.0', { CSeq: '1', Session: 'abc' }),
      formatMessage('FRAME stream://any/x RTSP/1.0', { Session: 'def' }, Buffer.from('\r\n\r\nbody')),
    ]);
    for (let size = 1; size < bytes.length; size++) {
      const reader = new MessageReader();
      const messages = [];
      for (let at = 0; at < bytes.length; at += size) messages.push(...reader.push(bytes.subarray(at, at + size)));
      assert.deepEqual(
        messages.map((message) => [message.start[0], message.headers.get('session'), message.body.toString()]),
        [
          ['PLAY', 'abc', ''],
          ['FRAME', 'def', '\r\n\r\nbody'],
        ],
      );
    }
  });

  it('are refused when they are none', () => {
    for (const text of [
      'nonsense\r\n\r\n',
      'A b c\r\nno colon\r\n\r\n',
      'A b c\r\nContent-Length: -1\r\n\r\n',
      'x'.repeat(20_000),
    ]) {
      assert.throws(() => new MessageReader().push(Buffer.from(text)), ProtocolError);
    }
  });
});
