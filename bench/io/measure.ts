/** The correctness probe, and rounds of cases. */
import { openSync, readSync, closeSync } from 'node:fs';
import { ConsoleProcess } from '../console-process.js';
import { BenchError } from '../errors.js';
import { DISK_SIZE, HOST, type Contender, type Mode } from './contenders.js';
import { STREAM } from './server.js';

/** Bytes that the probe reads and writes (programs/io.c). */
const CHECKED = 8 * 2 ** 20;

export interface Result {
  /** Bytes or operations per second of the guest's clock. */
  readonly rate: number;
  /** CPU nanoseconds of the whole machine for each unit. */
  readonly cpu: number;
}

export class IoMachine extends ConsoleProcess {
  /** How long the switches of its devices took (ms). */
  readonly switches: number[] = [];
  #interposed = false;

  private constructor(readonly contender: Contender) {
    super(contender.command);
  }

  /** Starts a machine and waits for its runner. Throws BenchError `died`. */
  static async start(contender: Contender): Promise<IoMachine> {
    return new IoMachine(contender).serve();
  }

  /** In how many ways it is measured. */
  get modes(): readonly Mode[] {
    return this.contender.name === 'qemu' ? ['qemu'] : ['direct', 'interposed'];
  }

  /** Has the monitor step in between the guest and its devices, or away. Throws BenchError `program` if it does not. */
  async enter(mode: Mode): Promise<void> {
    const interposed = mode === 'interposed';
    if (interposed === this.#interposed) return;
    const longest = await this.ask(interposed ? 'interpose' : 'step away');
    if (longest === undefined || longest < 0) throw new BenchError('program', `${this.name}: no switch to ${mode}`);
    this.switches.push(longest);
    this.#interposed = interposed;
  }

  /** Throws BenchError `program` when the case fails inside the machine. */
  async run(name: string, milliseconds: number, port: number): Promise<Result> {
    const before = this.meter.read();
    const [units, nanoseconds] = await this.#answer(`${name} ${milliseconds} ${HOST} ${port}`);
    const cpu = this.meter.read() - before;
    const result = { rate: (Number(units) / Number(nanoseconds)) * 1e9, cpu: cpu / Number(units) };
    if (!(result.rate > 0)) throw new BenchError('program', `${this.name}: ${name} did nothing`);
    return result;
  }

  /** What the machine reads from disk and network is what is there, and what it writes arrives. Throws BenchError `disagree`. */
  async check(port: number): Promise<void> {
    const [sums] = await this.#answer(`check 0 ${HOST} ${port}`);
    const [disk, written] = [0, DISK_SIZE / 2].map((at) => readDisk(this.contender.disk, at));
    const stream = Buffer.concat(Array.from({ length: CHECKED / STREAM.length }, () => STREAM));
    const wanted = fnv(disk) + fnv(stream);
    if (sums !== wanted) throw new BenchError('disagree', `${this.name} read ${sums}, there is ${wanted}`);
    if (!written.equals(disk)) throw new BenchError('disagree', `${this.name}: what it wrote is not on its disk`);
  }

  async #answer(order: string): Promise<string[]> {
    this.order(order);
    const line = await this.line((l) => l.startsWith('@done') || l.startsWith('@failed'));
    if (line.startsWith('@failed')) throw new BenchError('program', `${this.name}: ${order}: ${line.slice(8)}`);
    return line.split(' ').slice(1);
  }
}

function readDisk(path: string, at: number): Buffer {
  const bytes = Buffer.alloc(CHECKED);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, CHECKED, at);
  } finally {
    closeSync(file);
  }
  return bytes;
}

/** FNV-1a of 64 bits, as 16 hexadecimal digits. */
function fnv(bytes: Uint8Array): string {
  let low = 0x84222325;
  let high = 0xcbf29ce4;
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    // Times 2^40 + 0x1b3, modulo 2^64.
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product % 2 ** 32;
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
