import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtioConsole } from '../../computer/virtio/console.js';
import { TestDriver } from '../../computer/virtio/testing/driver.js';
import { TestMachine } from '../../computer/virtio/testing/machine.js';
import { ShellSlot } from './slot.js';

test('what a command leaves running cannot fill the host’s memory with what it writes', () => {
  const machine = new TestMachine(2048);
  const device = new VirtioConsole(machine.host(1), { ports: [{}, {}, {}] });
  const driver = new TestDriver(machine, 1);
  driver.negotiate(-1);
  const queues = Array.from({ length: 8 }, (_, q) => driver.queue(q));
  driver.start();
  device.poll();
  const slot = new ShellSlot(0, device.ports[1], device.ports[2], {
    tell() {},
    revive: () => Promise.resolve(),
    mark: () => 'MARK',
    ended: undefined,
  });
  const [commands, written] = [queues[5], queues[7]];
  const send = (queue: typeof written, bytes: Uint8Array): void => {
    queue.add([bytes]);
    queue.kick();
    device.poll();
    queue.harvest();
  };
  slot.send('true');
  send(commands, new TextEncoder().encode('0\n'));
  send(written, new TextEncoder().encode('outMARK'));
  assert.equal(slot.status, 0);
  assert.equal(new TextDecoder().decode(slot.result), 'out');

  const [more] = written.add([new Uint8Array(64 * 1024).fill(65)]);
  for (let i = 0; i < 64; i++) {
    written.kick();
    device.poll();
    if (written.harvest().length > 0) written.addBuffers([more]);
  }
  assert.ok(slot.output.length < 1.3 * 2 ** 20, `${slot.output.length} bytes are kept`);
  slot.send('true');
  device.poll();
  assert.equal(written.harvest().length, 1, 'the next command lets it go on');
});
