/** A POSIX shell behind a console, driven by a program instead of a person. */
import type { Console, WaitOptions } from './console.js';
import { SystemError } from './errors.js';

export interface CommandResult {
  readonly status: number;
  /** Standard output and standard error as the terminal shows them, lines ended by \n. */
  readonly output: string;
}

/** A terminal in canonical mode takes no longer line (N_TTY_BUF_SIZE). */
const MAX_LINE = 4000;
/** A shell that edits lines asks the terminal where its cursor is. */
const PROMPT = /[#$] (?:\x1b\[6n)?$/;

export class Shell {
  #count = 0;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(private readonly console: Console) {}

  /**
   * Waits for a shell's prompt, and makes the shell fit to be driven: no echo, no prompt, no job
   * control, no kernel messages.
   * Throws SystemError `timeout` or `ended`.
   */
  static async open(console: Console, options: WaitOptions = {}): Promise<Shell> {
    await console.waitFor(PROMPT, options);
    // The mark is written in two parts: the terminal still echoes what is typed.
    await console.write(`stty -echo -onlcr; set +m; dmesg -n 1; PS1= PS2= HISTFILE=; echo "shell-is-""ready"\n`);
    await console.waitFor('shell-is-ready\n', options);
    return new Shell(console);
  }

  /**
   * Runs a command (any number of lines) and gives its output and exit status; commands given at once run one after
   * the other. It reads nothing: its standard input is empty. Throws SystemError `timeout`, `ended` or `invalid`.
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

  async #run(command: string, options: WaitOptions): Promise<CommandResult> {
    if (command.split('\n').some((line) => line.length > MAX_LINE)) {
      throw new SystemError('invalid', `a line of the command is longer than ${MAX_LINE} characters`);
    }
    const mark = `shell-mark-${this.#count++}`;
    const wait = this.console.waitFor(new RegExp(`([^]*?)\\n?${mark} (\\d+)\\n`), options);
    // Read as a whole before it is looked at: a quote that is left open must not take the mark with it.
    const text = `eval "$(cat << '${mark}'\n${command}\n${mark}\n)" < /dev/null\necho "\n${mark} $?"\n`;
    await Promise.all([this.console.write(text), wait]);
    const [, output, status] = await wait;
    return { status: Number(status), output: output.replaceAll('\r\n', '\n') };
  }
}
