/** A guest on a thread of its own: writes numbered lines to a console, and resets it now and then. */
import { workerData } from 'node:worker_threads';
import { TestDriver, type Buffer } from './driver.js';
import { MEMORY_BASE, TestMachine } from './machine.js';

const { buffer, lines } = workerData as { buffer: SharedArrayBuffer; lines: number };
const machine = new TestMachine(2048, buffer);
let sent = 0;
for (let life = 0; sent < lines; life++) {
  const driver = new TestDriver(machine, 1, MEMORY_BASE + 0x1000);
  driver.status = 0;
  // As Linux does: the reset is done when the status reads 0.
  for (let status = -1; status !== 0;) status = driver.status;
  if (driver.negotiate(-1) !== 0xb) throw new Error('features refused');
  driver.queue(0);
  const queue = driver.queue(1, { eventIdx: true });
  const buffers: Buffer[] = [];
  for (let i = 0; i < 8; i++) buffers.push({ address: driver.allocate(8, 1), length: 8, write: false });
  driver.start();
  for (let turn = 0; turn < 100 && sent < lines; turn++) {
    const batch = Math.min(1 + (turn % 8), lines - sent);
    for (let i = 0; i < batch; i++, sent++) {
      machine.poke(buffers[i].address, new TextEncoder().encode(`${sent}\n`.padStart(8)));
      queue.addBuffers([buffers[i]], i % 2 === 0 && turn < 50);
      if (queue.kickWanted) queue.kick();
    }
    for (let done = 0; done < batch;) done += queue.harvest().length;
    if (driver.status !== 15) throw new Error(`status ${driver.status}`);
  }
  // A kick without need, so that the reset may find the other thread amid the queues.
  queue.kick();
}
