/** A Redis server full of data, a client that never lets go of it, and moves that go wrong in the destination. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DomainError } from '../src/domain/errors.js';
import { readText, writeText } from '../src/domain/linux/os.js';
import { SYS } from '../src/guest/hands/syscalls.js';
import type { Carrier } from '../src/maintenance/index.js';
import type { Step } from '../src/remapping/migrate.js';
import { assertNothingIn, RedisStage } from './domain/redis-stage.js';
import { MIB } from './testing/images.js';

/** fallocate(2) of the generic system call table. */
const FALLOCATE = 47;

let stage: RedisStage;
/** Where the domain is not, once both are there to stay. */
let destination: Carrier;
before(async () => {
  stage = await RedisStage.open();
});
after(() => stage?.close());

async function availableIn(carrier: Carrier): Promise<number> {
  const kib = /^MemAvailable: +(\d+) kB$/m.exec((await readText(carrier.hands, '/proc/meminfo')) ?? '')?.[1];
  assert.ok(kib);
  return Number(kib) * 1024;
}

/** Takes memory of an OS instance until about `left` bytes are available; answers what gives it back. */
async function eatMemory(carrier: Carrier, left: number): Promise<() => Promise<void>> {
  const { hands } = carrier;
  const b = hands.batch();
  const fd = b.must(SYS.memfd_create, b.str('eaten'), 0);
  const made = (await b.run()).value(fd);
  assert.ok(made >= 0);
  const piece = 16 * MIB;
  for (let eaten = 0, free = await availableIn(carrier); free > left; free = await availableIn(carrier)) {
    const length = Math.min(piece, free - left);
    if (length < MIB) break;
    assert.equal(await hands.syscall(FALLOCATE, made, 0, eaten, length), 0);
    eaten += length;
  }
  return async () => {
    await hands.syscall(SYS.close, made);
  };
}

/** `awaited`: gone before the step begins; else it goes while the step is at work. */
const DESTROYED: readonly { readonly step: Step; readonly awaited: boolean }[] = [
  { step: 'bear', awaited: false },
  { step: 'shape', awaited: true },
  { step: 'flip', awaited: true },
];
for (const { step, awaited } of DESTROYED) {
  const when = awaited ? `before the step ${step}` : `in the step ${step}`;
  test(`the destination is destroyed ${when}: the domain goes on, and the error says so`, async () => {
    const { free } = stage;
    const to = await stage.boot(`b-${step}`, 'backports');
    let destroyed = Promise.resolve();
    const { steps, error } = await stage.move(stage.source, to, async (s) => {
      if (s !== step) return;
      destroyed = to.instance.destroy();
      if (awaited) await destroyed;
    });
    await destroyed;
    assert.ok(error instanceof DomainError, String(error));
    assert.equal(error.code, 'lost', error.message);
    assert.match(error.message, new RegExp(`b-${step} ended during the move`));
    assert.ok(!steps.includes('finish'), `it went on to ${steps.at(-1)}`);
    assert.equal(stage.domain.hands, stage.source.hands);
    await stage.assertServes(`after the destination was destroyed ${when}`);
    assert.deepEqual(stage.free, free);
  });
}

test('the kernel of the destination panics when the memory is there already: it comes back', async () => {
  const { free } = stage;
  const to = await stage.boot('b-panic', 'backports');
  const { steps, error } = await stage.move(stage.source, to, async (step) => {
    if (step === 'finish') await writeText(to.hands, '/proc/sysrq-trigger', 'c');
  });
  assert.equal(steps.at(-1), 'finish');
  assert.ok(error instanceof DomainError, String(error));
  assert.equal(error.code, 'lost', error.message);
  assert.match(error.message, /b-panic ended during the move/);
  await stage.assertServes('after the destination panicked');
  await to.instance.destroy();
  assert.deepEqual(stage.free, free);
});

test('too little memory in the destination: refused by name, and moved once there is enough', async () => {
  const to = await stage.boot('b', 'backports');
  const giveBack = await eatMemory(to, 16 * MIB);
  const { steps, error } = await stage.move(stage.source, to);
  assert.ok(error instanceof DomainError, String(error));
  assert.equal(error.code, 'mismatch', error.message);
  assert.equal(error.resource, 'memory');
  assert.match(error.message, /b has \d+ MiB of memory available; the domain needs \d+ MiB there/);
  assert.deepEqual(steps, ['survey'], 'nothing was begun');
  await assertNothingIn(to, 'nothing is left of what was refused');
  await stage.assertServes('after the refusal');

  // Enough at the look, and then no more.
  await giveBack();
  let giveBackAgain = giveBack;
  const late = await stage.move(stage.source, to, async (step) => {
    if (step === 'bear') giveBackAgain = await eatMemory(to, 16 * MIB);
  });
  assert.ok(late.error instanceof DomainError, String(late.error));
  assert.equal(late.error.code, 'mismatch', late.error.message);
  assert.equal(late.error.resource, 'memory');
  assert.match(late.error.message, /b ran out of memory during the move/);
  await assertNothingIn(to, 'nothing is left of what there was no room for');
  await stage.assertServes('after memory ran out');

  await giveBackAgain();
  assert.equal((await stage.move(stage.source, to)).error, undefined);
  await stage.assertServes('in the destination');
  await assertNothingIn(stage.source, 'the original is buried');
  [stage.source, destination] = [to, stage.source];
});

test('hops between both kernels with a failure in a late step between them: all keys, one connection', async () => {
  for (let hop = 0; hop < 3; hop++) {
    if (hop === 1) {
      const failed = await stage.move(stage.source, destination, (s) => {
        if (s === 'resume') throw new Error('injected');
      });
      assert.match(String(failed.error), /injected/);
      assert.equal(failed.steps.at(-1), 'resume');
      await assertNothingIn(destination, 'nothing is left of the move that failed');
      await stage.assertServes(`after a failure in hop ${hop}`);
    }
    const { report, error } = await stage.move(stage.source, destination);
    assert.equal(error, undefined);
    assert.ok(report !== undefined && report.framesFlipped * 4096 >= 16 * MIB);
    assert.equal(report.memoryBytesCopied, 0);
    await assertNothingIn(stage.source, 'the original is buried');
    [stage.source, destination] = [destination, stage.source];
    await stage.assertServes(`after hop ${hop}`);
  }
});
