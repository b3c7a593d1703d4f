/**
 * What fails in one instance ends that instance, with a reason, and nothing else: real threads, real locks, injected
 * failures. Beside each failing guest an honest one runs; afterwards the harts and frames of the failed one are used again.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { hartThread } from '../adapters/node/platform.js';
import { nodeSystem } from '../adapters/node/system.js';
import { BARE_DATA, BARE_MEMORY, bareKernel, countingHarts } from '../guest/testing/bare-kernel.js';
import type { HartThread } from '../partition/hart.js';
import { Computer } from './computer.js';
import type { Instance, InstanceEnd } from './instance.js';

const HARTS = 3;
const LOCAL = 2 ** 20;

/** Touches the UART, the clock, the PLIC and the console's PCI command register, over and over, from every hart. */
const TOUCHING = `
  bnez a0, work
  li a0, 1
  la a1, work
  li a6, 0
  li a7, 0x48534d
  ecall
work:
  li t0, 0x10000000
  li t1, 0x0c000004
  li t2, 0x30008004
  li t4, 0x101000
again:
  lw t3, (t4)
  sb zero, 7(t0)
  lw t3, (t1)
  sw t3, (t1)
  lw t3, (t2)
  sw t3, (t2)
  j again`;

/** Says "hi" on the SBI's debug console and on the serial port, and counts on. */
const TALKING = `
  li a0, 104
  li a6, 2
  li a7, 0x4442434e
  ecall
  li t0, 0x10000000
  li t1, 105
  sb t1, (t0)
${countingHarts(1)}`;

const counted = ({ os }: Instance, id = 0): bigint =>
  os.partition.space.view.getBigUint64(os.partition.space.offsetOf(BARE_DATA + 8 * id), true);

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition(); await new Promise((r) => setTimeout(r, 1))) {
    assert.ok(performance.now() < end, what);
  }
}

async function counts(guest: Instance, harts = 1): Promise<void> {
  const ids = Array.from({ length: harts }, (_, id) => id);
  const start = ids.map((id) => counted(guest, id));
  await until(() => ids.every((id) => counted(guest, id) > start[id]), `every hart of ${guest.name} counts`);
}

const FAILING = new URL('../guest/testing/failing-worker.js', import.meta.url);

/** A computer whose second hart, the first that the second guest is given, fails once as failing-worker.ts has it. */
function computerWith(failure: string): Computer {
  let threads = 0;
  const startHartThread = (): HartThread => (threads++ === 1 ? hartThread(FAILING) : hartThread());
  process.env['UNDERSTUDY_TEST_FAILURE'] = failure;
  const memory = 3 * BARE_MEMORY + LOCAL;
  const computer = new Computer({ ...nodeSystem, startHartThread }, { memory, harts: HARTS, network: false });
  process.env['UNDERSTUDY_TEST_FAILURE'] = '';
  return computer;
}

const boot = (computer: Computer, source: string, harts: number): Promise<Instance> =>
  computer.boot({ kernel: bareKernel(source), memory: BARE_MEMORY, harts });

/** Runs a guest that fails beside an honest one, and then another on all harts that the failed one has left. */
async function failsAlone(computer: Computer, failing: () => Promise<Instance>): Promise<InstanceEnd> {
  const { freeMemory } = computer;
  const honest = await boot(computer, countingHarts(1), 1);
  await counts(honest);
  const guest = await failing();
  const end = await guest.ended;
  await counts(honest);
  assert.equal(computer.freeHarts, HARTS - 1);
  const next = await boot(computer, countingHarts(2), 2);
  await counts(next, 2);
  const pause = next.pause();
  await pause;
  next.resume();
  await counts(next, 2);
  await next.destroy();
  await honest.destroy();
  assert.equal(computer.freeMemory, freeMemory);
  assert.equal(computer.freeHarts, HARTS);
  return end;
}

describe('a hart whose thread fails', () => {
  const places: Readonly<Record<string, string>> = { start: 'before it runs', translator: 'while it translates' };
  for (const where of ['start', 'translator', 'uart', 'rtc', 'plic', 'pci']) {
    for (const how of ['throw', 'exit']) {
      const place = places[where] ?? `in the lock of the ${where}`;
      test(`${how === 'throw' ? 'throws' : 'dies'} ${place}`, { timeout: 120_000 }, async () => {
        const computer = computerWith(`${how} ${where}`);
        const end = await failsAlone(computer, () => boot(computer, TOUCHING, 2));
        assert.equal(end.kind, 'hart-failed');
        assert.equal(end.kind === 'hart-failed' && end.hart, 0);
        assert.match(
          end.kind === 'hart-failed' ? end.message : '',
          how === 'throw' ? /injected failure/ : /ended \(7\)/,
        );
        await computer.close();
      });
    }
  }
});

test('a hart dies in a lock that the main thread waits for', { timeout: 120_000 }, async () => {
  const computer = computerWith('exit uart');
  const end = await failsAlone(computer, async () => {
    const guest = await boot(computer, TOUCHING, 2);
    // As somebody types without end.
    const typing = setInterval(() => guest.os.serial.write(Uint8Array.of(65)), 0);
    void guest.ended.then(() => clearInterval(typing));
    return guest;
  });
  // Whichever of the two is noticed first.
  if (end.kind === 'device-failed') assert.match(end.message, /holds a device's lock/);
  else assert.equal(end.kind, 'hart-failed');
  await computer.close();
});

describe('what is thrown on the main thread', () => {
  let computer: Computer;
  before(() => {
    computer = computerWith('');
  });
  after(() => computer.close());

  const failure = new Error('this listener throws');
  const throwing = (): never => {
    throw failure;
  };
  const cases: [string, string, (guest: Instance) => void][] = [
    ['by who listens to the serial port', 'serial port', ({ os }) => (os.serial.onData = throwing)],
    ['by who listens to the debug console', 'debug console', ({ os }) => (os.debugConsole.onData = throwing)],
  ];
  for (const [name, device, arrange] of cases) {
    test(name, async () => {
      const end = await failsAlone(computer, async () => {
        const guest = await boot(computer, TALKING, 1);
        arrange(guest);
        return guest;
      });
      assert.equal(end.kind, 'device-failed');
      assert.deepEqual(end.kind === 'device-failed' && [end.device, end.error], [device, failure]);
    });
  }

  test('by what it leaves behind is told beside its end', async () => {
    const backend = {
      sectors: 1,
      readOnly: true,
      id: 'test',
      read: () => Promise.resolve(),
      write: () => Promise.resolve(),
      flush: () => Promise.resolve(),
      close: () => Promise.reject(failure),
    };
    const other = new Computer(
      { ...nodeSystem, openDisk: () => Promise.resolve(backend) },
      { memory: BARE_MEMORY + LOCAL, harts: 1, network: false },
    );
    const guest = await other.boot({ kernel: bareKernel(TALKING), memory: BARE_MEMORY, disks: ['a disk'] });
    await guest.destroy();
    assert.deepEqual(await guest.ended, { kind: 'stopped', leftOver: [failure] });
    await other.close();
  });
});
