/** An OS instance that ends when the move from it, or to it, is about done: a small domain's, beside a Redis server that goes on. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DomainError } from '../../src/domain/errors.js';
import { readText } from '../../src/domain/linux/os.js';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { SYS } from '../../src/guest/hands/syscalls.js';
import type { Carrier } from '../../src/maintenance/index.js';
import { moveDomain } from '../../src/maintenance/move.js';
import { RedisStage } from '../domain/redis-stage.js';

let stage: RedisStage;
before(async () => {
  stage = await RedisStage.open();
});
after(() => stage?.close());

/** A small domain that says every tenth of a second that it is there. Nobody outside talks to it. */
async function launchTicker(carrier: Carrier, name: string): Promise<RunningDomain> {
  const script = 'i=0; while :; do i=$((i+1)); echo $i >> /tmp/ticks; sleep 0.1; done';
  return launch(carrier.hands, { name }, { argv: ['/usr/bin/busybox', 'sh', '-c', script] });
}

async function assertTicks({ hands }: RunningDomain, when: string): Promise<void> {
  const ticks = async (): Promise<number> => ((await readText(hands, '/tmp/ticks')) ?? '').split('\n').length;
  const before = await ticks();
  for (let turn = 0; (await ticks()) < before + 3; turn++) {
    assert.ok(turn < 300, `it goes on ${when}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('a listener that fails when a move is done: it is done, and the report says what was left', async () => {
  let ticker = await launchTicker(stage.source, 'ticker');
  const other = await stage.boot('b-listener', 'backports');
  const { domain: moved, report } = await moveDomain(ticker, stage.source, other, {
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 'bury') throw new Error('deaf to bury');
      if (event.type === 'moved') throw new Error('deaf to moved');
    },
  });
  ticker = moved;
  assert.equal(ticker.hands, other.hands);
  assert.deepEqual(
    report.untidied.map((u) => u.why),
    ['deaf to bury', 'deaf to moved'],
  );
  await assertTicks(ticker, 'in the destination');
  assert.equal(
    await readText(stage.source.hands, '/sys/fs/cgroup/ticker/cgroup.procs'),
    undefined,
    'the original is buried',
  );
  await other.instance.destroy();
});

for (const awaited of [true, false]) {
  const when = awaited ? 'when the original is to be buried' : 'while the original is buried';
  test(`the destination is destroyed ${when}: the domain has ended, and the error says so`, async () => {
    const { free } = stage;
    const ticker = await launchTicker(stage.source, 'ticker');
    const other = await stage.boot('b-bury', 'backports');
    let destroyed = Promise.resolve();
    await assert.rejects(
      moveDomain(ticker, stage.source, other, {
        onEvent: async (event) => {
          if (event.type === 'step' && event.step === 'bury') {
            destroyed = other.instance.destroy();
            if (awaited) await destroyed;
          }
          if (event.type === 'move-failed') assert.equal(event.stays, undefined, 'it goes on nowhere');
        },
      }),
      (e) =>
        e instanceof DomainError && e.code === 'ended' && /b-bury ended, and with it domain ticker/.test(e.message),
    );
    await destroyed;
    // Whole it is no more: nothing of it is left frozen.
    assert.equal(
      await readText(stage.source.hands, '/sys/fs/cgroup/ticker/cgroup.procs'),
      undefined,
      'nothing is left',
    );
    assert.deepEqual(stage.free, free);
    await stage.assertServes(`after the destination was destroyed ${when}`);
  });
}

for (const step of ['finish', 'resume', 'bury'] as const) {
  test(`the source is destroyed before ${step}: the domain goes on in the destination`, async () => {
    const from = await stage.boot(`c-${step}`, 'backports');
    const ticker = await launchTicker(from, 'ticker');
    const { domain: moved, report } = await moveDomain(ticker, from, stage.source, {
      onEvent: async (event) => {
        if (event.type === 'step' && event.step === step) await from.instance.destroy();
      },
    });
    assert.equal(moved.hands, stage.source.hands, 'the handle points to the living');
    assert.ok(report.untidied.some((u) => u.what === 'ending the original'));
    await assertTicks(moved, 'in the destination');
    await moved.anchor.cgroup.kill();
    await stage.source.hands.syscall(SYS.close, moved.anchor.netns);
    await moved.anchor.cgroup.remove();
  });
}
