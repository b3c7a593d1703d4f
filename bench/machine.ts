/** A machine under measurement, with the runner of programs (programs/serve.c) in it. */
import { ConsoleProcess, type MachineCommand } from './console-process.js';
import { BenchError } from './errors.js';

export interface RunResult {
  /** 16 hexadecimal digits. */
  readonly checksum: string;
  /** CPU nanoseconds of the whole machine, for all iterations. */
  readonly cpu: number;
  /** Nanoseconds on the clock of whoever measures: the host's. */
  readonly wall: number;
  /** Guest instructions, where the machine counts them. */
  readonly instructions: number | undefined;
  /** Bytes of resident memory of the machine at the end. */
  readonly resident: number;
}

export class Machine extends ConsoleProcess {
  /** Starts a machine and waits for its runner. Throws BenchError `died`. */
  static async start(command: MachineCommand): Promise<Machine> {
    return new Machine(command).serve();
  }

  /**
   * Runs a program `count` times in each of `copies` processes at once.
   * Throws BenchError `program` when it fails inside the machine, `died` when the machine does.
   */
  async run(program: string, count: number, copies = 1): Promise<RunResult> {
    this.order(`run ${program} ${count} ${copies}`);
    await this.#answer('@ready', program);
    const instructionsBefore = await this.#instructions();
    const cpuBefore = this.meter.read();
    const wallBefore = performance.now();
    this.send('go');
    const words = (await this.#answer('@done', program)).split(' ');
    const wall = (performance.now() - wallBefore) * 1e6;
    const cpu = this.command.native === true ? Number(words[3]) : this.meter.read() - cpuBefore;
    const after = await this.#instructions();
    const resident = this.residentBytes;
    await this.#answer('@exit', program);
    const [, checksum = '', wallText = '', cpuText = ''] = words;
    if (!/^[0-9a-f]{16}$/.test(checksum) || !/^\d+$/.test(wallText) || !/^\d+$/.test(cpuText))
      throw new BenchError('program', `${this.name}: "${words.join(' ')}" is no result of ${program}`);
    const instructions = after === undefined ? undefined : after - (instructionsBefore ?? 0);
    return { checksum, cpu, wall, instructions, resident };
  }

  async #answer(word: string, program: string): Promise<string> {
    const line = await this.line((l) => l.startsWith(word) || l.startsWith('@failed'));
    if (line.startsWith(word)) return line;
    await this.line((l) => l.startsWith('@exit'));
    throw new BenchError('program', `${this.name}: ${program}: ${line.slice('@failed '.length)}`);
  }

  /** Bytes of machine memory: one mapping of the process; undefined where the machine does not say. */
  async machineMemory(): Promise<number | undefined> {
    return this.ask('memory');
  }

  async #instructions(): Promise<number | undefined> {
    return this.ask('stats');
  }
}
