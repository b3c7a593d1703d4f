import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../../errors.js';
import { parseFdInfo } from '../../proc/fdinfo.js';
import { ahead, arrayAt, ringBytes, ringInfo, sqesBytes } from './ring.js';

/** As Linux 6.12 tells it; `polls` and `overflown` are lines of lists. */
const text = (sqMask: string, polls = '', overflown = ''): string => `pos:\t0
flags:\t02000002
mnt_id:\t17
ino:\t399
SqMask:\t${sqMask}
SqHead:\t4294967295
SqTail:\t1
CachedSqHead:\t4294967295
CqMask:\t0x1ff
CqHead:\t4294967290
CqTail:\t4294967295
CachedCqTail:\t4294967295
SQEs:\t2
  255: opcode:NOP, fd:0, flags:0, off:0, addr:0x0, rw_flags:0x0, buf_index:0 user_data:0
CQEs:\t1
  511: user_data:0, res:0, flag:0
SqThread:\t-1
SqThreadCpu:\t-1
UserFiles:\t2
    0: /a
    1: /b
UserBufs:\t0
PollList:
${polls}CqOverflowList:
${overflown}NAPI:\tdisabled
`;

test('what /proc says of a ring is understood', () => {
  const info = ringInfo(parseFdInfo(text('0xff', '  op=6, task_works=0\n', '  user_data=1, res=0, flags=0\n')));
  assert.deepEqual(
    [info.sqEntries, info.cqEntries, info.taken, info.completed, info.seen],
    [256, 512, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 6],
  );
  assert.deepEqual([info.waiting, info.overflown, info.files, info.buffers], [1, 1, 2, 0]);
  assert.equal(info.sqThread, false);
  const calm = ringInfo(parseFdInfo(text('0xff')));
  assert.deepEqual([calm.waiting, calm.overflown], [0, 0]);
});

test('a ring of a size that none has is not believed', () => {
  for (const mask of ['0xfe', '0xffffffff', '', '0x3ff'])
    assert.throws(() => ringInfo(parseFdInfo(text(mask))), DomainError);
});

test('counts go round', () => {
  assert.equal(ahead(2 ** 32 - 1, 1), 2);
  assert.equal(ahead(1, 2 ** 32 - 1), -2);
});

test('the parts of a ring lie where both kernels put them', () => {
  assert.equal(arrayAt({ cqEntries: 512, wideCqes: false }), 8256);
  assert.equal(arrayAt({ cqEntries: 16, wideCqes: true }), 640);
  const shape = { sqEntries: 256, cqEntries: 512, array: true, wideSqes: false, wideCqes: false };
  assert.equal(ringBytes(shape), 12288);
  assert.equal(sqesBytes({ ...shape, wideSqes: true }), 32768);
});
