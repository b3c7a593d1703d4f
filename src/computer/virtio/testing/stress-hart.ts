/**
 * A hart of a guest that uses a disk as hard as it can, on a thread of its own. The `driver` has up to 16 requests under
 * way, verifies what it reads, and resets the device now and then; it leaves kicks to the `kicker`, as when another hart
 * makes the requests, or both kick at once. Words they share with the test:
 *
 *   0  1: the doorbell was rung            3  requests that a hart's thread did
 *   1  1: the kicker is to kick            4  requests that are done
 *   2  1: the driver has ended             5  resets
 */
import { isMainThread, workerData } from 'node:worker_threads';
import { lockAs } from '../../state-page.js';
import { MemoryDisk } from '../block-backend.js';
import type { SyncDisk } from '../block-requests.js';
import { TestDriver, type DriverQueue } from './driver.js';
import { hartServes, syncDisk } from './hart-disk.js';
import { BAR_NOTIFY } from '../registers.js';
import { MEMORY_BASE, TestMachine } from './machine.js';

export interface StressData {
  readonly role: 'driver' | 'kicker';
  /** The thread's name as a holder of locks. */
  readonly name: number;
  readonly buffer: SharedArrayBuffer;
  readonly disk: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly slot: number;
  readonly requests: number;
}

export const RING = 0;
const KICK = 1;
const ENDED = 2;
export const HARTS = 3;
export const DONE = 4;
export const RESETS = 5;
const BYTES = 1024;
const LANES = 16;
/** A request that is not answered by then was lost (ms). */
const PATIENCE = 30_000;

/** A request that one lane has under way: a sector of its own, so that it knows what must be there. */
interface Lane {
  readonly header: number;
  readonly data: number;
  readonly status: number;
  readonly sector: number;
  /** What the sector was last filled with; -1: a reset came between, nobody knows. */
  fill: number;
  head: number;
  type: number;
  next: number;
}

function machineOf({ buffer, disk, control }: StressData): TestMachine {
  const words = new Int32Array(control);
  const machine = new TestMachine(1024, buffer);
  const memory = syncDisk(new MemoryDisk(new Uint8Array(disk)));
  // Different times, up to some dozen microseconds.
  const dawdle = (): void => {
    for (let n = 37 * (Atomics.add(words, HARTS, 1) % 64); n > 0; n--) Atomics.load(words, HARTS);
  };
  const counted: SyncDisk = {
    ...memory,
    read: (sector, into) => {
      dawdle();
      memory.read(sector, into);
    },
    write: (sector, from) => {
      dawdle();
      memory.write(sector, from);
    },
  };
  let asked = 0;
  // Now and then there is no disk for harts: the main thread has requests under way then.
  const now = (): SyncDisk | undefined => (asked++ % 5 < 3 ? counted : undefined);
  hartServes(machine, now, () => Atomics.store(words, RING, 1));
  return machine;
}

function send(machine: TestMachine, queue: DriverQueue, lane: Lane, n: number): void {
  const type = n % 40 === 7 ? 4 : n % 3 === 0 ? 0 : 1;
  machine.poke32(lane.header, type);
  machine.poke32(lane.header + 8, lane.sector);
  machine.poke(lane.status, Uint8Array.of(0xee));
  lane.type = type;
  lane.next = 1 + (n % 250);
  if (type === 1) machine.poke(lane.data, new Uint8Array(BYTES).fill(lane.next));
  else machine.poke(lane.data, new Uint8Array(BYTES).fill(0));
  const data = { address: lane.data, length: BYTES, write: type === 0 };
  lane.head = queue.addBuffers(
    [
      { address: lane.header, length: 16, write: false },
      ...(type === 4 ? [] : [data]),
      { address: lane.status, length: 1, write: true },
    ],
    n % 3 === 0,
  );
}

function check(machine: TestMachine, lane: Lane, length: number): void {
  const status = machine.peek(lane.status, 1)[0];
  if (status !== 0) throw new Error(`status ${status} of a request of type ${lane.type}`);
  if (length !== (lane.type === 0 ? BYTES + 1 : 1)) throw new Error(`${length} bytes written for type ${lane.type}`);
  if (lane.type === 1) lane.fill = lane.next;
  if (lane.type !== 0) return;
  const bytes = machine.peek(lane.data, BYTES);
  if (lane.fill < 0) lane.fill = bytes[0];
  if (bytes.some((b) => b !== lane.fill)) throw new Error(`sector ${lane.sector}: ${bytes[0]}, not ${lane.fill}`);
}

function drive(machine: TestMachine, words: Int32Array, { slot, requests }: StressData): void {
  const lanes: Lane[] = Array.from({ length: LANES }, (_, i) => ({
    header: MEMORY_BASE + 0x20_0000 + i * 0x2000,
    data: MEMORY_BASE + 0x20_0000 + i * 0x2000 + 0x800,
    status: MEMORY_BASE + 0x20_0000 + i * 0x2000 + 0x1fff,
    sector: 8 * i,
    fill: 0,
    head: -1,
    type: 0,
    next: 0,
  }));
  let sent = 0;
  let done = 0;
  for (let life = 0; done < requests; life++) {
    const driver = new TestDriver(machine, slot, MEMORY_BASE + 0x1000);
    driver.status = 0;
    for (const end = performance.now() + PATIENCE; driver.status !== 0;) {
      if (performance.now() > end) throw new Error('a reset is never done');
    }
    Atomics.add(words, RESETS, 1);
    if (driver.negotiate(-1) !== 0xb) throw new Error('features refused');
    const queue = driver.queue(0, { eventIdx: true, size: 64 });
    driver.start();
    // What was under way may have been done or not; a torn sector would be seen, for reads check all of it.
    for (const lane of lanes) {
      if (lane.head >= 0 && lane.type === 1) lane.fill = -1;
      lane.head = -1;
    }
    let last = performance.now();
    for (let lifetime = 0; lifetime < 500 && done < requests;) {
      for (const lane of lanes) {
        if (lane.head >= 0) continue;
        send(machine, queue, lane, sent++);
        if (!queue.kickWanted) continue;
        // Nobody kicks without need: that would make up for a kick that was lost.
        if (sent % 3 > 0) Atomics.store(words, KICK, 1);
        if (sent % 3 < 2) queue.kick();
      }
      for (const { head, length } of queue.harvest()) {
        const lane = lanes.find((l) => l.head === head);
        if (lane === undefined) throw new Error(`chain ${head} was finished twice`);
        check(machine, lane, length);
        lane.head = -1;
        done++;
        lifetime++;
        Atomics.add(words, DONE, 1);
        last = performance.now();
      }
      if (performance.now() - last > PATIENCE) throw new Error(`a request was lost after ${done}`);
    }
  }
}

/** Kicks when it is told to. */
function kick(machine: TestMachine, words: Int32Array, { slot }: StressData): void {
  // The driver has set up the BAR of its slot, and the first queue's register is the first there.
  const at = 0x10_0000 + slot * 0x1_0000 + BAR_NOTIFY;
  while (Atomics.load(words, ENDED) === 0) {
    if (Atomics.exchange(words, KICK, 0) === 1) machine.pci.memory.write(at, 2, 0);
  }
}

function run(data: StressData): void {
  lockAs(data.name);
  const words = new Int32Array(data.control);
  const machine = machineOf(data);
  if (data.role === 'kicker') return kick(machine, words, data);
  try {
    drive(machine, words, data);
  } finally {
    Atomics.store(words, ENDED, 1);
  }
}

if (!isMainThread) run(workerData as StressData);
