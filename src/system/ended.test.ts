/** An instance that has ended leads nowhere: what is asked of it is refused or does nothing, and never reaches whoever has its harts or address now. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { BARE_MEMORY, bareKernel, countingHarts } from '../guest/testing/bare-kernel.js';
import { Computer } from './computer.js';
import type { Instance } from './instance.js';

let computer: Computer;
before(() => {
  computer = new Computer(nodeSystem, { memory: 64 * 2 ** 20, harts: 1 });
});
after(() => computer.close());

const boot = (): Promise<Instance> =>
  computer.boot({ kernel: bareKernel(countingHarts(1)), console: 'hvc0', memory: BARE_MEMORY });

test('ports, shells and pauses of an ended instance do not lead to the next one at its address', async () => {
  const first = await boot();
  const open = await first.forward({ guestPort: 80 });
  // One that is being opened as the instance ends.
  const late = first.forward({ guestPort: 81 });
  const refusedLate = late.then(
    (forward) => assert.ok(first.forwards.includes(forward)),
    (error: unknown) => assert.match(String(error), /has ended/),
  );
  await first.destroy();
  await refusedLate;
  await first.ended;
  const second = await boot();
  assert.equal(second.address, first.address);
  await assert.rejects(fetch(`http://127.0.0.1:${open.port}/`));
  await assert.rejects(first.forward({ guestPort: 80 }), { name: 'SystemError', code: 'ended' });
  await assert.rejects(first.shell({ timeout: 1000 }), { name: 'SystemError', code: 'ended' });
  await first.pause();
  first.resume();
  await first.console.write('nobody hears this');
  await first.shutdown();
  await first.destroy();
  assert.deepEqual(computer.instances, [second]);
  await second.destroy();
});
