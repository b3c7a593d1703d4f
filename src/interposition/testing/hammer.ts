/**
 * A guest on a thread of its own, at a disk whose answerer changes all the time: writes and reads back, kicks, takes its
 * interrupts, and between them writes registers and reads what they say. Says what it has seen.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { boardRegions } from '../../computer/board.js';
import type { MmioRegion } from '../../computer/dma.js';
import { ECAM_BASE, interruptOf, PCI_MEMORY_BASE } from '../../computer/pci/host.js';
import { PLIC_BASE } from '../../computer/plic/plic.js';
import { lockAs } from '../../computer/state-page.js';
import { TestDriver } from '../../computer/virtio/testing/driver.js';
import { TestMachine } from '../../computer/virtio/testing/machine.js';
import { BOARD, PAGES, SLOT } from './bench.js';

/** What a hammering thread has seen. */
export interface Hammered {
  readonly requests: number;
  readonly wrong: readonly string[];
}

const { buffer, requests, bell, resets } = workerData as {
  buffer: SharedArrayBuffer;
  requests: number;
  bell: SharedArrayBuffer;
  resets: number;
};
const NAME = 7;
const CONTEXT = 0x20_0004;
lockAs(NAME);
const rings = new Int32Array(bell);
const machine = new TestMachine(PAGES, buffer);
const doorbell = (): void => void Atomics.add(rings, 0, 1);
const options = { buffer, offset: BOARD, harts: [0x3000], doorbell };
const regions = boardRegions({ ...options, dma: machine, hart: 0, nap: () => undefined });
const at = (base: number): MmioRegion => {
  const region = regions.find((r) => r.base === base);
  if (region === undefined) throw new RangeError(`the board has nothing at ${base.toString(16)}`);
  return region;
};
machine.pci = { ecam: at(ECAM_BASE), memory: at(PCI_MEMORY_BASE) };
const plic = at(PLIC_BASE);
const wrong: string[] = [];
const note = (what: string): void => {
  if (wrong.length < 20) wrong.push(what);
};

let number = 0;
for (let life = 0; life <= resets; life++) {
  const driver = new TestDriver(machine, SLOT);
  driver.status = 0;
  for (let status = -1; status !== 0;) status = driver.status;
  if (driver.negotiate(-1) !== 0xb) note('the features were refused');
  const queue = driver.queue(0, { eventIdx: true, size: 32 });
  queue.interruptAfter(0);
  plic.write(4 * interruptOf(SLOT), 4, 1);
  plic.write(0x2000 + 4 * (interruptOf(SLOT) >> 5), 4, 1 << (interruptOf(SLOT) & 31));
  driver.start();
  const header = driver.allocate(16);
  const data = driver.allocate(512);
  const status = driver.allocate(1, 1);
  const ask = (type: number, sector: number): boolean => {
    machine.poke32(header, type);
    machine.poke32(header + 8, sector);
    machine.poke(status, Uint8Array.of(0xee));
    queue.addBuffers([
      { address: header, length: 16, write: false },
      { address: data, length: 512, write: type === 0 },
      { address: status, length: 1, write: true },
    ]);
    if (queue.kickWanted) queue.kick();
    const end = performance.now() + 10_000;
    for (;;) {
      // Only an interrupt says that something is done: one that is lost is noticed.
      const source = plic.read(CONTEXT, 4);
      let done = 0;
      if (source !== 0) {
        if (driver.isr === 0) note('an interrupt without a cause');
        done = queue.harvest().length;
        queue.interruptAfter(0);
        done += queue.harvest().length;
        plic.write(CONTEXT, 4, source);
      }
      if (done > 1) note(`${done} answers to one request`);
      if (done > 0) return machine.peek(status, 1)[0] === 0;
      if (performance.now() > end) {
        note(`request ${number} is lost`);
        return false;
      }
    }
  };
  const most = Math.ceil(((life + 1) * requests) / (resets + 1));
  for (; number < most && wrong.length === 0; number++) {
    const sector = number % 64;
    machine.poke32(data, number);
    machine.poke32(data + 508, ~number);
    if (!ask(1, sector)) note(`write ${number} has failed`);
    machine.poke32(data, 0);
    machine.poke32(data + 508, 0);
    if (!ask(0, sector)) note(`read ${number} has failed`);
    if (machine.peek32(data) !== number || machine.peek32(data + 508) !== ~number >>> 0)
      note(`read ${number} is wrong`);
    for (let i = 0; i < 20; i++) {
      // A page that is not in the slot any more would swallow it.
      driver.write(driver.common + 0x16, 2, (number + i) & 0xff);
      const got = driver.read(driver.common + 0x16, 2);
      if (got !== ((number + i) & 0xff)) note(`a register that was written ${(number + i) & 0xff} reads ${got}`);
      if (driver.status !== 0xf) note(`status ${driver.status}`);
      const line = (number + i) & 0x7f;
      driver.configWrite(0x3c, 1, line);
      if (driver.configRead(0x3c, 1) !== line) note('the configuration space forgets');
    }
    driver.write(driver.common + 0x16, 2, 0);
  }
}
parentPort?.postMessage({ requests: number, wrong } satisfies Hammered);
