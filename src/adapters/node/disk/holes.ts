/**
 * Holes in a file: space that is given back to the host and reads as zeroes. Node has no fallocate(2); the command of
 * that name has. A shell waits for ranges on its standard input, because a guest that trims a file system names
 * hundreds of them, and starting it is what costs us.
 */
import { spawn, type ChildProcess } from 'node:child_process';

const LOOP =
  'while read -r at length; do if fallocate -p -o "$at" -l "$length" /dev/fd/3 2>/dev/null; then echo y; else echo n; fi; done';

export class HolePuncher {
  #shell: ChildProcess | undefined;
  /** A host or file system that cannot do it is asked once. */
  #impossible = false;
  /** Ranges that have been handed to the shell, oldest first. */
  readonly #asked: ((made: boolean) => void)[] = [];
  #ended: Promise<void> = Promise.resolve();

  /** `fd`: the file, open for writing. */
  constructor(readonly fd: number) {}

  /** Makes a hole of whole blocks and zeroes the rest of the range, in bytes; false: that is not possible here. */
  punch(at: number, length: number): Promise<boolean> {
    if (this.#impossible) return Promise.resolve(false);
    this.#shell ??= this.#start();
    const { stdin } = this.#shell;
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      stdin?.write(`${at} ${length}\n`);
    });
  }

  /** Waits for what was asked and ends the shell: it holds the file open as we do. */
  async close(): Promise<void> {
    this.#impossible = true;
    this.#shell?.stdin?.end();
    await this.#ended;
  }

  #start(): ChildProcess {
    const shell = spawn('sh', ['-c', LOOP], { stdio: ['pipe', 'pipe', 'ignore', this.fd] });
    this.#ended = new Promise((resolve) => {
      const gone = (): void => {
        this.#impossible = true;
        for (const answer of this.#asked.splice(0)) answer(false);
        resolve();
      };
      shell.on('error', gone);
      shell.on('close', gone);
    });
    // A shell that has ended is told by `close`; a write that comes later must not end us.
    shell.stdin?.on('error', () => undefined);
    shell.stdout?.on('data', (chunk: Buffer) => {
      for (const letter of chunk.toString('latin1')) {
        if (letter === '\n') continue;
        if (letter !== 'y') this.#impossible = true;
        this.#asked.shift()?.(letter === 'y');
      }
    });
    return shell;
  }
}
