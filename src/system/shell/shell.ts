/** A POSIX shell in a guest, driven by a program instead of a person. */
import type { WaitOptions } from '../console.js';
import { SystemError } from '../errors.js';
import { checkTimeout } from '../timeout.js';
import type { ShellSlot } from './slot.js';

/** How a command in a guest ended, and what it wrote. */
export interface CommandResult {
  /** As in a shell: 128 + n for a command that signal n ended. */
  readonly status: number;
  /** Standard output and standard error, as they were written. */
  readonly output: string;
  /** The same, byte for byte. */
  readonly bytes: Uint8Array;
}

const DEFAULT_TIMEOUT = 60_000;
/** A guest does not fill the host's memory: a command that writes more is ended. */
export const MOST_OUTPUT = 256 * 2 ** 20;
/** Time for what a command has started to be killed, and for another shell (ms). */
const RECOVERY = 20_000;
/** What a command that failed waits of it, at most; the next one waits for the rest (ms). */
const GRACE = 1000;
const QUOTED = 2000;

/** A shell in a guest, driven by a program. */
export class Shell {
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** A shell that is being ended, and what follows it. */
  #recovery: Promise<void> | undefined;

  /** Made by `Instance.shell`. */
  constructor(
    private readonly slot: ShellSlot,
    private readonly onClose: () => void,
  ) {}

  /**
   * Runs a command (any number of lines) and gives its output and exit status; commands given at once run one after
   * the other. It reads nothing: its standard input is empty. What it sets (variables, the folder) is there for the
   * next one; a command that ends the shell itself (`exit 3`) has that status, and the next one finds a new shell.
   *
   * Throws SystemError `timeout`, `too-much-output` (more than 256 MiB), `ended`, `invalid`, or `no-shell`: what starts the
   * guest's shells was killed, and its console has none to start it again. With the first two the
   * shell's whole process group is killed, the command and what runs in the background, and the next command finds a new
   * shell.
   *
   *     const { output } = await shell.run('uname -r');
   */
  run(command: string, options: WaitOptions = {}): Promise<CommandResult> {
    const result = this.#last.then(() => this.#run(command, options));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Like `run`, but throws SystemError `invalid` with the output when the status is not 0. Gives the output. */
  async check(command: string, options: WaitOptions = {}): Promise<string> {
    const { status, output } = await this.run(command, options);
    if (status !== 0) throw new SystemError('invalid', `in the guest, ${command} ended with ${status}:\n${output}`);
    return output;
  }

  /** Ends the shell and what runs in its process group, when the commands given so far are done. Its ports are free for another one then. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last;
    await this.#recovered(performance.now() + RECOVERY).catch(() => undefined);
    await this.slot.close(RECOVERY);
    this.onClose();
  }

  async #run(command: string, { timeout = DEFAULT_TIMEOUT }: WaitOptions): Promise<CommandResult> {
    if (command.includes('\0')) throw new SystemError('invalid', 'a command has no NUL characters');
    if (this.#closed) throw new SystemError('invalid', 'the shell was closed');
    checkTimeout(timeout);
    const { slot } = this;
    const deadline = performance.now() + timeout;
    await this.#recovered(deadline);
    if (slot.isSpoilt) await this.#renew(deadline);
    slot.send(command);
    const isOver = (): boolean => slot.status !== undefined || slot.output.length > MOST_OUTPUT;
    await slot.until(isOver, deadline);
    if (slot.output.length > MOST_OUTPUT) {
      await this.#end();
      throw new SystemError('too-much-output', `in the guest, ${command} wrote more than ${MOST_OUTPUT} bytes`);
    }
    const { status } = slot;
    if (status === undefined) {
      const end = new TextDecoder().decode(slot.output.end(QUOTED));
      await this.#end();
      throw new SystemError('timeout', `in the guest, ${command} did not end in ${timeout} ms; it wrote:\n${end}`);
    }
    // The end of a shell of its own accord: what it wrote lies before the first mark of its successor.
    if (slot.isSpoilt) await this.#renew(deadline);
    if (!(await slot.until(() => slot.result !== undefined || slot.isSpoilt, deadline))) {
      await this.#end();
      throw new SystemError('timeout', `in the guest, ${command} ended, and what it wrote does not arrive`);
    }
    // It was killed after it had told the status, and before it wrote the mark.
    if (slot.result === undefined) await this.#renew(deadline);
    const bytes = slot.result ?? new Uint8Array(0);
    return { status, bytes, output: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) };
  }

  /** Kills the command and what it has started. */
  async #end(): Promise<void> {
    const recover = async (): Promise<void> => {
      const deadline = performance.now() + RECOVERY;
      await this.slot.kill(deadline);
      await this.slot.renew(deadline);
    };
    // A guest that cannot do it in time is asked again by the next command.
    const recovery = recover()
      .catch(() => undefined)
      .finally(() => {
        if (this.#recovery === recovery) this.#recovery = undefined;
        this.slot.notice();
      });
    this.#recovery = recovery;
    await this.#recovered(performance.now() + GRACE).catch(() => undefined);
  }

  async #recovered(deadline: number): Promise<void> {
    if (await this.slot.until(() => this.#recovery === undefined, deadline)) return;
    throw new SystemError('timeout', 'the shell that was to be ended has not ended yet');
  }

  /** Waits for the shell that follows one that has ended; one that does not answer is ended. */
  async #renew(deadline: number): Promise<void> {
    if (await this.slot.renew(deadline)) return;
    await this.#end();
    throw new SystemError('timeout', 'the shell that was to be ended does not end, or no other one begins');
  }
}
