/** A Redis server full of data, a client that never lets go of it, and moves that go wrong in the destination. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DomainError } from '../src/domain/errors.js';
import { launch, type RunningDomain } from '../src/domain/tree/launch.js';
import { readText, writeText } from '../src/domain/linux/os.js';
import type { MigrationReport, Step } from '../src/remapping/migrate.js';
import { DataSet } from '../src/faces/cli/demo/data.js';
import { SYS } from '../src/guest/hands/syscalls.js';
import { Computer, type KernelChoice } from '../src/index.js';
import { Carrier } from '../src/maintenance/index.js';
import { moveDomain } from '../src/maintenance/move.js';
import { MIB, testImage } from './testing/images.js';
import { connectSoon, type RedisConnection } from './testing/redis.js';
import { SteadyClient } from './testing/steady.js';

const network = { nic: 'eth0', mac: '52:54:00:00:01:00', address: '10.0.2.100/24', gateway: '10.0.2.2' };
const REDIS = ['/usr/bin/redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', ''] as const;
/** fallocate(2) of the generic system call table. */
const FALLOCATE = 47;

const data = new DataSet(16, 7);
let computer: Computer;
let source: Carrier;
/** Where the domain is not, once both are there to stay. */
let destination: Carrier;
let domain: RunningDomain;
/** It is opened once, and everything is asked through it. */
let client: RedisConnection;
let broken = 0;
let steady: SteadyClient;

before(async () => {
  computer = await Computer.create({ memory: 1024 * MIB, harts: 2 });
  source = await boot('a', 'trixie');
  domain = await launch(source.hands, { name: 'redis', network }, { argv: REDIS, cwd: '/var/lib/redis' });
  const forward = await computer.network?.gateway.forward({ guest: '10.0.2.100', guestPort: 6379 });
  assert.ok(forward);
  client = await connectSoon(forward.port, () => {
    broken++;
  });
  assert.equal(await data.fill(client, () => undefined), data.keys);
  steady = new SteadyClient(client);
});

after(async () => {
  // First: a server that stands still would never answer the steady client.
  if (client?.isOpen) client.destroy();
  await steady?.stop();
  await computer?.close();
});

async function boot(name: string, kernel: KernelChoice): Promise<Carrier> {
  return Carrier.boot(computer, { name, image: await testImage(kernel, 'redis'), memory: 384 * MIB });
}

/** Moves the domain; `at` is told before each step. Answers the steps that were begun, and how it ended. */
async function move(
  from: Carrier,
  to: Carrier,
  at: (step: Step) => void | Promise<void> = () => undefined,
): Promise<{ steps: Step[]; report?: MigrationReport; error?: unknown }> {
  const steps: Step[] = [];
  try {
    const moved = await moveDomain(domain, from, to, {
      onEvent: async (event) => {
        if (event.type !== 'step') return;
        steps.push(event.step);
        await at(event.step);
      },
    });
    domain = moved.domain;
    return { steps, report: moved.report };
  } catch (error) {
    return { steps, error };
  }
}

/** The server has everything, the connections are the first ones, and its clients were not told anything twice. */
async function assertServes(when: string): Promise<void> {
  const before = steady.answered;
  assert.equal(await data.verify(client, () => undefined), data.keys, `all keys ${when}`);
  for (let turn = 0; steady.answered < before + 3 && turn < 500; turn++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(steady.answered >= before + 3, `the steady client goes on ${when}`);
  assert.equal(steady.fault, undefined);
  assert.equal(broken, 0, `no connection broke ${when}`);
}

async function assertNothingIn(carrier: Carrier, when: string): Promise<void> {
  assert.equal(await readText(carrier.hands, '/sys/fs/cgroup/redis/cgroup.procs'), undefined, when);
}

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
    const free = { harts: computer.freeHarts, memory: computer.freeMemory };
    const to = await boot(`b-${step}`, 'backports');
    let destroyed = Promise.resolve();
    const { steps, error } = await move(source, to, async (s) => {
      if (s !== step) return;
      destroyed = to.instance.destroy();
      if (awaited) await destroyed;
    });
    await destroyed;
    assert.ok(error instanceof DomainError, String(error));
    assert.equal(error.code, 'lost', error.message);
    assert.match(error.message, new RegExp(`b-${step} ended during the move`));
    assert.ok(!steps.includes('finish'), `it went on to ${steps.at(-1)}`);
    assert.equal(domain.hands, source.hands);
    await assertServes(`after the destination was destroyed ${when}`);
    assert.deepEqual({ harts: computer.freeHarts, memory: computer.freeMemory }, free);
  });
}

test('the kernel of the destination panics when the memory is there already: it comes back', async () => {
  const free = { harts: computer.freeHarts, memory: computer.freeMemory };
  const to = await boot('b-panic', 'backports');
  const { steps, error } = await move(source, to, async (step) => {
    if (step === 'finish') await writeText(to.hands, '/proc/sysrq-trigger', 'c');
  });
  assert.equal(steps.at(-1), 'finish');
  assert.ok(error instanceof DomainError, String(error));
  assert.equal(error.code, 'lost', error.message);
  assert.match(error.message, /b-panic ended during the move/);
  await assertServes('after the destination panicked');
  await to.instance.destroy();
  assert.deepEqual({ harts: computer.freeHarts, memory: computer.freeMemory }, free);
});

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
  let ticker = await launchTicker(source, 'ticker');
  const other = await boot('b-listener', 'backports');
  const { domain: moved, report } = await moveDomain(ticker, source, other, {
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
  assert.equal(await readText(source.hands, '/sys/fs/cgroup/ticker/cgroup.procs'), undefined, 'the original is buried');
  await other.instance.destroy();
});

for (const awaited of [true, false]) {
  const when = awaited ? 'when the original is to be buried' : 'while the original is buried';
  test(`the destination is destroyed ${when}: the domain has ended, and the error says so`, async () => {
    const free = { harts: computer.freeHarts, memory: computer.freeMemory };
    const ticker = await launchTicker(source, 'ticker');
    const other = await boot('b-bury', 'backports');
    let destroyed = Promise.resolve();
    await assert.rejects(
      moveDomain(ticker, source, other, {
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
    assert.equal(await readText(source.hands, '/sys/fs/cgroup/ticker/cgroup.procs'), undefined, 'nothing is left');
    assert.deepEqual({ harts: computer.freeHarts, memory: computer.freeMemory }, free);
    await assertServes(`after the destination was destroyed ${when}`);
  });
}

for (const step of ['finish', 'resume', 'bury'] as const) {
  test(`the source is destroyed before ${step}: the domain goes on in the destination`, async () => {
    const from = await boot(`c-${step}`, 'backports');
    const ticker = await launchTicker(from, 'ticker');
    const { domain: moved, report } = await moveDomain(ticker, from, source, {
      onEvent: async (event) => {
        if (event.type === 'step' && event.step === step) await from.instance.destroy();
      },
    });
    assert.equal(moved.hands, source.hands, 'the handle points to the living');
    assert.ok(report.untidied.some((u) => u.what === 'ending the original'));
    await assertTicks(moved, 'in the destination');
    await moved.anchor.cgroup.kill();
    await source.hands.syscall(SYS.close, moved.anchor.netns);
    await moved.anchor.cgroup.remove();
  });
}

test('too little memory in the destination: refused by name, and moved once there is enough', async () => {
  const to = await boot('b', 'backports');
  const giveBack = await eatMemory(to, 16 * MIB);
  const { steps, error } = await move(source, to);
  assert.ok(error instanceof DomainError, String(error));
  assert.equal(error.code, 'mismatch', error.message);
  assert.equal(error.resource, 'memory');
  assert.match(error.message, /b has \d+ MiB of memory available; the domain needs \d+ MiB there/);
  assert.deepEqual(steps, ['survey'], 'nothing was begun');
  await assertNothingIn(to, 'nothing is left of what was refused');
  await assertServes('after the refusal');

  // Enough at the look, and then no more.
  await giveBack();
  let giveBackAgain = giveBack;
  const late = await move(source, to, async (step) => {
    if (step === 'bear') giveBackAgain = await eatMemory(to, 16 * MIB);
  });
  assert.ok(late.error instanceof DomainError, String(late.error));
  assert.equal(late.error.code, 'mismatch', late.error.message);
  assert.equal(late.error.resource, 'memory');
  assert.match(late.error.message, /b ran out of memory during the move/);
  await assertNothingIn(to, 'nothing is left of what there was no room for');
  await assertServes('after memory ran out');

  await giveBackAgain();
  assert.equal((await move(source, to)).error, undefined);
  await assertServes('in the destination');
  await assertNothingIn(source, 'the original is buried');
  [source, destination] = [to, source];
});

test('hops between both kernels with a failure in a late step between them: all keys, one connection', async () => {
  for (let hop = 0; hop < 3; hop++) {
    if (hop === 1) {
      const failed = await move(source, destination, (s) => {
        if (s === 'resume') throw new Error('injected');
      });
      assert.match(String(failed.error), /injected/);
      assert.equal(failed.steps.at(-1), 'resume');
      await assertNothingIn(destination, 'nothing is left of the move that failed');
      await assertServes(`after a failure in hop ${hop}`);
    }
    const { report, error } = await move(source, destination);
    assert.equal(error, undefined);
    assert.ok(report !== undefined && report.framesFlipped * 4096 >= 16 * MIB);
    assert.equal(report.memoryBytesCopied, 0);
    await assertNothingIn(source, 'the original is buried');
    [source, destination] = [destination, source];
    await assertServes(`after hop ${hop}`);
  }
});
