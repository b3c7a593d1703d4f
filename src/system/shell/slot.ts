/** One shell's place: its two ports, and what the agent says of it. See script.ts. */
import type { ConsolePort } from '../../computer/virtio/console-port.js';
import { SystemError } from '../errors.js';
import { startTimer } from '../timeout.js';
import { Output } from './output.js';

/** What a slot needs of the agent, and of the instance. */
export interface SlotHost {
  /** A line for the agent. */
  tell(line: string): void;
  /** Starts the agent again, if somebody has killed it. Throws SystemError `no-shell` or `ended`. */
  revive(deadline: number): Promise<void>;
  /** Random text that nobody can guess. */
  mark(): string;
  /** Why the instance answers no more, once it does not. */
  readonly ended: string | undefined;
}

/** What may be written between two commands, by what one of them left running, before it has to wait (bytes). */
const MOST_BETWEEN = 1024 * 1024;
/** A status on the port is a line of digits, nothing longer. */
const LONGEST_LINE = 16;
/** After it a keeper that does not say that its killed shell has ended is killed too (ms). */
const KEEPER_FIRST = 5000;
/** Of a command whose shell is killed with its keeper. */
const KILLED = 137;

/** A place for one shell of a guest: console ports of its own. */
export class ShellSlot {
  output = new Output();
  /** The command's exit status, once it has ended, whether its shell did too or not. */
  status: number | undefined;
  /** The shell has ended, or is to; a new one has not answered yet. */
  isSpoilt = false;
  /** Process groups of the shell and of its keeper, as the agent says. */
  #group: string | undefined;
  #keeper: string | undefined;
  #mark = '';
  #result: Uint8Array | undefined;
  #line = '';
  /** The agent was killed, and with it the keeper: nobody says any more how the shell ends, or follows it with another. */
  #isOrphan = false;
  /** A command has been sent whose status has not come. */
  #awaiting = false;
  readonly #waiters = new Set<() => void>();

  constructor(
    readonly index: number,
    readonly commands: ConsolePort,
    readonly written: ConsolePort,
    private readonly host: SlotHost,
  ) {
    commands.onData = (bytes) => this.#hear(bytes);
    commands.onOpen = () => this.#noticeEnd();
    written.onData = (bytes) => {
      this.output.add(bytes);
      this.notice();
      const isBetween = !this.#awaiting && this.result !== undefined;
      if (isBetween && this.output.length > this.result.length + MOST_BETWEEN) written.hold();
    };
  }

  get result(): Uint8Array | undefined {
    this.#result ??= this.output.before(new TextEncoder().encode(this.#mark));
    return this.#result;
  }

  /** Asks for a keeper, which starts the shell. */
  begin(): void {
    this.host.tell(`open ${this.index} ${this.commands.index} ${this.written.index}`);
  }

  /** The first command starts with nothing written. */
  send(command: string): void {
    this.output = new Output();
    this.#result = undefined;
    this.status = undefined;
    this.#post(command);
  }

  /** The agent said something of this slot. */
  told(what: string, value: string): void {
    if (what === 'keeper') this.#keeper = value;
    else if (what === 'started') this.#group = value;
    else if (what === 'ended') this.#ended(Number(value));
    else if (what === 'gone' && value === this.#keeper) {
      // Nobody would start its shell again, or say how it ended.
      this.#keeper = undefined;
      this.#kill(this.#group);
      this.#ended(KILLED);
      this.begin();
    }
    this.notice();
  }

  /** The agent is no more. The shell may live on: who kills all processes but himself does. */
  orphan(): void {
    this.#isOrphan = true;
    this.#keeper = undefined;
    this.#noticeEnd();
  }

  /** Kills the shell's process group. */
  async kill(deadline: number): Promise<void> {
    this.isSpoilt = true;
    this.#awaiting = false;
    if (this.#isOrphan) await this.host.revive(deadline);
    if (await this.until(() => this.#group !== undefined, deadline)) this.#kill(this.#group);
    const isEnded = (): boolean => this.#group === undefined;
    if (await this.until(isEnded, Math.min(deadline, performance.now() + KEEPER_FIRST))) return;
    this.#kill(this.#keeper);
    await this.until(isEnded, deadline);
  }

  /** Waits until the shell that was started anew answers. What the old one wrote is kept. False: it does not. */
  async renew(deadline: number): Promise<boolean> {
    const { status, result } = this;
    if (result !== undefined) {
      // All of it has come, and its mark with it: the one that is waited for now is another.
      this.output = new Output();
      this.#result = undefined;
    }
    const restore = (): void => {
      this.status = status;
      this.#result = result ?? this.#result;
    };
    while (await this.#attended(deadline)) {
      this.isSpoilt = false;
      this.status = undefined;
      this.#post('');
      const answered = await this.until(
        () => this.isSpoilt || (this.status !== undefined && this.result !== undefined),
        deadline,
      );
      if (answered && this.isSpoilt) continue;
      this.isSpoilt = !answered;
      restore();
      return answered;
    }
    restore();
    return false;
  }

  /** Waits until there is a shell; asks for a keeper again where the last one was killed. */
  async #attended(deadline: number): Promise<boolean> {
    for (;;) {
      if (this.#isOrphan && this.#group === undefined) {
        await this.host.revive(deadline);
        this.#isOrphan = false;
        this.begin();
      }
      if (!(await this.until(() => this.#group !== undefined || this.#isOrphan, deadline))) return false;
      if (this.#group !== undefined) return true;
    }
  }

  async close(milliseconds: number): Promise<void> {
    const keeper = this.#keeper;
    this.#keeper = undefined;
    this.#kill(keeper);
    this.#kill(this.#group);
    if (this.host.ended !== undefined) return;
    await this.until(() => !this.commands.open && !this.written.open, performance.now() + milliseconds);
  }

  /** Resolves with true as soon as the condition holds, with false at the deadline. Throws SystemError `ended`. */
  async until(condition: () => boolean, deadline: number): Promise<boolean> {
    let look: () => void = () => undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve) => {
        look = () => {
          if (condition() || this.host.ended !== undefined) resolve();
        };
        this.#waiters.add(look);
        timer = startTimer(resolve, Math.max(0, deadline - performance.now()));
        look();
      });
    } finally {
      this.#waiters.delete(look);
      clearTimeout(timer);
    }
    if (condition()) return true;
    if (this.host.ended !== undefined) throw new SystemError('ended', this.host.ended);
    return false;
  }

  /** Something may have changed. */
  notice(): void {
    for (const look of [...this.#waiters]) look();
  }

  #post(command: string): void {
    this.#mark = this.host.mark();
    this.#awaiting = true;
    this.written.letGo();
    const lines = command === '' ? [] : command.split('\n').map((line) => `+${line}\n`);
    this.commands.write(new TextEncoder().encode(`${lines.join('')}.\n`));
  }

  #hear(bytes: Uint8Array): void {
    this.#line = (this.#line + new TextDecoder('latin1').decode(bytes)).slice(-LONGEST_LINE);
    const [, status] = /^(\d{1,3})\n$/.exec(this.#line) ?? [];
    if (this.#line.includes('\n')) this.#line = '';
    if (status === undefined || !this.#awaiting) return;
    this.#awaiting = false;
    this.status = Number(status);
    this.commands.write(new TextEncoder().encode(`=${this.#mark}\n`));
    this.notice();
  }

  #ended(status: number): void {
    this.#group = undefined;
    this.isSpoilt = true;
    if (this.#awaiting) this.status ??= status;
    this.#awaiting = false;
  }

  /** Of a shell that nobody watches, the end shows in that its port is closed. */
  #noticeEnd(): void {
    if (this.#isOrphan && !this.commands.open) this.#ended(KILLED);
    this.notice();
  }

  #kill(group: string | undefined): void {
    if (group !== undefined) this.host.tell(`kill ${group}`);
  }
}
