/** A guest whose devices are switched while they work: what it runs, what must be true of it, and who switches. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { Computer, MemoryDisk, type BlockBackend } from '../../src/index.js';
import type { ComputerDevice } from '../../src/interposition/device.js';
import { compile } from '../testing/compile.js';
import { MIB, testImage } from '../testing/images.js';

const { blocks } = compile('test/disk', ['blocks']);
const { echo } = compile('test/interposition', ['echo']);
const BLOCK = 4096;

/** Requests as they come to the disk itself: each is begun once and done once, and what a flush promises holds. */
export class Ledger implements BlockBackend {
  readonly sectors: number;
  readonly readOnly = false;
  readonly id = 'ledger';
  readonly bytes: Uint8Array;
  readonly counts = { begun: 0, done: 0, writes: 0, flushes: 0 };
  readonly #inner: MemoryDisk;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#inner = new MemoryDisk(this.bytes);
    this.sectors = this.#inner.sectors;
  }

  read(sector: number, into: Uint8Array): Promise<void> {
    return this.#note(() => this.#inner.read(sector, into));
  }
  write(sector: number, from: Uint8Array): Promise<void> {
    this.counts.writes++;
    return this.#note(() => this.#inner.write(sector, from));
  }
  flush(): Promise<void> {
    this.counts.flushes++;
    return this.#note(() => this.#inner.flush());
  }

  async #note(work: () => Promise<void>): Promise<void> {
    this.counts.begun++;
    // As a disk does, it takes a moment.
    await new Promise<void>((resolve) => setImmediate(resolve));
    await work();
    this.counts.done++;
  }

  /** Every block is whole: its first word says what all the others must be. */
  checkBlocks(): number {
    const words = new BigUint64Array(this.bytes.buffer);
    let written = 0;
    for (let at = 0; at < words.length; at += BLOCK / 8) {
      if (words[at] === 0n && words[at + 1] === 0n) continue;
      written++;
      assert.equal(words[at] >> 32n, BigInt(at / (BLOCK / 8)), 'a block in its place');
      for (let i = 1; i < BLOCK / 8; i++) assert.equal(words[at + i], words[at] + BigInt(i));
    }
    return written;
  }
}

/** Sends everything back. */
async function echoServer(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { server, port: address.port };
}

/** Switches devices at random moments. */
export class Switcher {
  readonly waitMs: number[] = [];
  readonly switchMs: number[] = [];
  #over = false;

  constructor(private readonly pause: () => number) {}

  async run(device: ComputerDevice, most = Infinity): Promise<void> {
    for (let made = 0; made < most && !this.#over;) {
      try {
        const report = await (device.mode === 'direct' ? device.interpose() : device.stepAway());
        this.waitMs.push(report.waitMs);
        this.switchMs.push(report.switchMs);
        made++;
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
      const ms = this.pause();
      await new Promise<void>((resolve) => (ms < 1 ? setImmediate(resolve) : setTimeout(resolve, ms)));
    }
  }

  stop(): void {
    this.#over = true;
  }
}

/** What one run of the workload showed. */
export interface Run {
  readonly text: string;
  /** Lines of the kernel's log, without their times. */
  readonly log: readonly string[];
  readonly ledger: Ledger;
  readonly switches: number;
  readonly waitMs: readonly number[];
  readonly switchMs: readonly number[];
}

export interface Load {
  readonly harts: number;
  readonly rounds: number;
  readonly mebibytes: number;
  /** Kinds of devices that are switched; none: nothing is. */
  readonly kinds: readonly string[];
  /** Milliseconds until a device is switched again. */
  readonly pause: () => number;
  /** Switches of each device, at most. */
  readonly most?: number;
}

/** Boots a guest with the workload, and switches its devices at random moments until it is done. */
export async function runLoad({ harts, rounds, mebibytes, kinds, pause, most = Infinity }: Load): Promise<Run> {
  const ledger = new Ledger(16 * MIB);
  const { server, port } = await echoServer();
  const computer = await Computer.create({ memory: 352 * MIB, harts });
  try {
    const guest = await computer.boot({
      image: await testImage('trixie'),
      memory: 256 * MIB,
      harts,
      disks: [ledger],
      files: { '/opt/blocks': { data: blocks, mode: 0o755 }, '/opt/echo': { data: echo, mode: 0o755 } },
      run: [
        `/opt/echo 10.0.2.2 ${port} ${mebibytes} & /opt/blocks verify /dev/vda ${rounds}; wait`,
        'echo; grep virtio /proc/interrupts',
        // Each device's own state, as its driver has it.
        'cat /sys/bus/virtio/devices/*/status /sys/bus/virtio/devices/*/features',
        'echo the-log; dmesg; echo the-end',
      ].join('; '),
    });
    const devices = guest.os.devices.filter(({ kind }) => kinds.includes(kind));
    const switcher = new Switcher(pause);
    const ended = guest.ended.finally(() => switcher.stop());
    await Promise.all(devices.map((device) => switcher.run(device, most)));
    assert.deepEqual(await ended, { kind: 'shutdown' });
    for (const device of devices) assert.equal(device.counters.monitorEntriesWhenDirect, 0);
    const { text } = guest.console;
    const log = (/the-log\r?\n([^]*)the-end/.exec(text)?.[1] ?? '')
      .split(/\r?\n/)
      .map((line) => line.replace(/^\[[ .\d]*\] /, ''));
    const { waitMs, switchMs } = switcher;
    return { text, log, ledger, switches: switchMs.length, waitMs, switchMs };
  } finally {
    server.close();
    await computer.close();
  }
}

/** Whether a switch was not made because the driver went on with something for too long, or the instance has ended. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'busy' || error.code === 'closed' || error.code === 'mode')
  );
}

/** The value below which the given part of all lie. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}

/** p50, p99 and the longest, in milliseconds. */
export function summary(values: readonly number[]): string {
  const show = (ms: number): string => ms.toFixed(3);
  return `p50 ${show(percentile(values, 0.5))} p99 ${show(percentile(values, 0.99))} max ${show(Math.max(...values))}`;
}

/** What must be true of every run. */
export function check({ text, ledger }: Run, { rounds, mebibytes }: Load): void {
  assert.match(text, new RegExp(`${4 * rounds} rounds, wrong: 0\\r?\\n`));
  assert.match(text, new RegExp(`echo: ${mebibytes * MIB} bytes, wrong: 0\\r?\\n`));
  assert.equal(ledger.counts.done, ledger.counts.begun);
  assert.ok(ledger.counts.flushes > 10 && ledger.counts.writes > rounds, JSON.stringify(ledger.counts));
  assert.ok(ledger.checkBlocks() > 1000);
}
