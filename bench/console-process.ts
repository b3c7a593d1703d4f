/**
 * A child process that talks in lines over its standard input and output: a runner, or a virtual machine whose
 * console that is.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { CpuMeter, residentBytes } from './cpu.js';
import { BenchError } from './errors.js';

export interface MachineCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** CPU time comes from the runner, not from the process: the machine is this one. */
  readonly native?: boolean;
  /**
   * The child answers over Node's channel: `stats` with its count of guest instructions, `memory` with the bytes of its
   * machine memory; one with devices of ours `interpose` and `step away` with the milliseconds of the longest switch.
   */
  readonly counts?: boolean;
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

export class ConsoleProcess {
  readonly name: string;
  /** CPU nanoseconds from the start of the process until the runner was there. */
  boot = 0;
  protected readonly meter: CpuMeter;
  protected readonly command: MachineCommand;
  readonly #child: ChildProcess;
  #partial = '';
  #lines: string[] = [];
  #recent: string[] = [];
  #wake: () => void = () => undefined;
  #ended: string | undefined;

  constructor(command: MachineCommand) {
    this.name = command.name;
    this.command = command;
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
    this.meter = new CpuMeter(this.#child.pid ?? 0);
  }

  /** Waits until the runner says that it is there. Throws BenchError `died`; then the process is gone. */
  async serve(): Promise<this> {
    try {
      await this.line((line) => line.endsWith('@serve'));
    } catch (error) {
      this.kill();
      throw error;
    }
    this.boot = this.meter.read();
    return this;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get residentBytes(): number {
    return residentBytes(this.pid);
  }

  /** Ends the machine in good order, or by force where that takes too long. */
  async stop(): Promise<void> {
    if (this.#ended !== undefined) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.send('quit');
    const timer = setTimeout(() => this.kill(), 20_000);
    await gone;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Says a line; what was said before and not listened to is forgotten. */
  order(line: string): void {
    this.#lines = [];
    this.send(line);
  }

  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Asks the child over Node's channel; undefined where it does not answer there. */
  protected async ask(question: 'stats' | 'memory' | 'interpose' | 'step away'): Promise<number | undefined> {
    if (this.command.counts !== true || this.#ended !== undefined) return undefined;
    const child = this.#child;
    return new Promise((resolve, reject) => {
      child.once('message', (message: unknown) => resolve(Number(message)));
      child.send(question, (error) => {
        if (error !== null) reject(this.#dead());
      });
    });
  }

  /** The next line that fits; others are the kernel's and are passed over. */
  async line(fits: (line: string) => boolean): Promise<string> {
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
