/**
 * A machine under measurement: a child process with the runner (programs/serve.c) behind its standard
 * input and output. Native, it is the runner itself; else a virtual machine whose console that is.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { BenchError } from './errors.js';
import { CpuMeter, residentBytes } from './cpu.js';

export interface MachineCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** CPU time comes from the runner, not from the process: the machine is this one. */
  readonly native?: boolean;
  /** The child answers over Node's channel: `stats` with its count of guest instructions, `memory` with the bytes of its machine memory. */
  readonly counts?: boolean;
}

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

/** A console that says nothing for so long is taken for dead (ms). */
const SILENCE = 600_000;
/** The console's last lines, for the message when a machine dies. */
const REMEMBERED = 15;

/** util-linux's setpriv lets a machine die with the bench, even when that is killed. */
const SETPRIV = '/usr/bin/setpriv';

const running = new Set<ChildProcess>();

/** Ends every machine at once, when the bench ends. */
export function killMachines(): void {
  for (const child of running) child.kill('SIGKILL');
}

export class Machine {
  readonly name: string;
  /** CPU nanoseconds from the start of the process until the runner was there. */
  boot = 0;
  readonly #child: ChildProcess;
  readonly #meter: CpuMeter;
  readonly #command: MachineCommand;
  #partial = '';
  #lines: string[] = [];
  #recent: string[] = [];
  #wake: () => void = () => undefined;
  #ended: string | undefined;

  private constructor(command: MachineCommand) {
    this.name = command.name;
    this.#command = command;
    const { counts, env } = command;
    const bound = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : [];
    const [file, ...args] = [...bound, command.command, ...command.args];
    this.#child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe', ...(counts === true ? (['ipc'] as const) : [])],
      env: { ...process.env, ...env },
    });
    running.add(this.#child);
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdout?.setEncoding('latin1').on('data', (text: string) => this.#take(text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#remember(...text.split('\n')));
    this.#child.on('error', (error) => this.#end(error.message));
    this.#child.on('exit', (code, signal) => this.#end(`ended (${signal ?? code ?? 'unknown'})`));
    this.#meter = new CpuMeter(this.#child.pid ?? 0);
  }

  /** Starts a machine and waits for its runner. Throws BenchError `died`. */
  static async start(command: MachineCommand): Promise<Machine> {
    const machine = new Machine(command);
    try {
      await machine.#line((line) => line.endsWith('@serve'));
    } catch (error) {
      machine.kill();
      throw error;
    }
    machine.boot = machine.#meter.read();
    return machine;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get residentBytes(): number {
    return residentBytes(this.pid);
  }

  /**
   * Runs a program `count` times in each of `copies` processes at once.
   * Throws BenchError `program` when it fails inside the machine, `died` when the machine does.
   */
  async run(program: string, count: number, copies = 1): Promise<RunResult> {
    this.#lines = [];
    this.#send(`run ${program} ${count} ${copies}`);
    await this.#answer('@ready', program);
    const instructionsBefore = await this.#instructions();
    const cpuBefore = this.#meter.read();
    const wallBefore = performance.now();
    this.#send('go');
    const words = (await this.#answer('@done', program)).split(' ');
    const wall = (performance.now() - wallBefore) * 1e6;
    const cpu = this.#command.native === true ? Number(words[3]) : this.#meter.read() - cpuBefore;
    const after = await this.#instructions();
    const resident = this.residentBytes;
    await this.#answer('@exit', program);
    const [, checksum = '', wallText = '', cpuText = ''] = words;
    if (!/^[0-9a-f]{16}$/.test(checksum) || !/^\d+$/.test(wallText) || !/^\d+$/.test(cpuText))
      throw new BenchError('program', `${this.name}: "${words.join(' ')}" is no result of ${program}`);
    const instructions = after === undefined ? undefined : after - (instructionsBefore ?? 0);
    return { checksum, cpu, wall, instructions, resident };
  }

  /** Ends the machine in good order, or by force where that takes too long. */
  async stop(): Promise<void> {
    if (this.#ended !== undefined) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#send('quit');
    const timer = setTimeout(() => this.kill(), 20_000);
    await gone;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async #answer(word: string, program: string): Promise<string> {
    const line = await this.#line((l) => l.startsWith(word) || l.startsWith('@failed'));
    if (line.startsWith(word)) return line;
    await this.#line((l) => l.startsWith('@exit'));
    throw new BenchError('program', `${this.name}: ${program}: ${line.slice('@failed '.length)}`);
  }

  /** Bytes of machine memory: one mapping of the process; undefined where the machine does not say. */
  async machineMemory(): Promise<number | undefined> {
    return this.#ask('memory');
  }

  async #instructions(): Promise<number | undefined> {
    return this.#ask('stats');
  }

  async #ask(question: 'stats' | 'memory'): Promise<number | undefined> {
    if (this.#command.counts !== true || this.#ended !== undefined) return undefined;
    const child = this.#child;
    return new Promise((resolve, reject) => {
      child.once('message', (message: unknown) => resolve(Number(message)));
      child.send(question, (error) => {
        if (error !== null) reject(this.#dead());
      });
    });
  }

  /** The next line that fits; others are the kernel's and are passed over. */
  async #line(fits: (line: string) => boolean): Promise<string> {
    for (;;) {
      for (;;) {
        const line = this.#lines.shift();
        if (line === undefined) break;
        if (fits(line)) return line;
      }
      if (this.#ended !== undefined) throw this.#dead();
      const silence = setTimeout(() => {
        this.#end('fell silent');
        this.kill();
      }, SILENCE);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      clearTimeout(silence);
    }
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split(/\r*\n/);
    this.#partial = lines.pop() ?? '';
    this.#lines.push(...lines);
    this.#remember(...lines);
    this.#wake();
  }

  #remember(...lines: string[]): void {
    this.#recent.push(...lines.filter((l) => l.trim() !== ''));
    this.#recent = this.#recent.slice(-REMEMBERED);
  }

  #end(why: string): void {
    this.#ended ??= why;
    running.delete(this.#child);
    this.#wake();
  }

  #dead(): BenchError {
    const said = this.#recent.map((line) => `\n  | ${line}`).join('');
    return new BenchError('died', `${this.name} ${this.#ended ?? 'is gone'}${said}`);
  }
}
