/** The shells of one OS instance: starts what drives them in the guest, and gives each its ports. See script.ts. */
import type { ConsolePort } from '../../computer/virtio/console-port.js';
import type { OsInstance } from '../../guest/os-instance.js';
import type { Console, WaitOptions } from '../console.js';
import { SystemError } from '../errors.js';
import { checkTimeout, startTimer } from '../timeout.js';
import { SCRIPT } from './script.js';
import { Shell } from './shell.js';
import { ShellSlot, type SlotHost } from './slot.js';

/** A shell that edits lines asks the terminal where its cursor is. */
const PROMPT = /[#$] (?:\x1b\[6n)?$/;
const DEFAULT_TIMEOUT = 60_000;
/** An agent that was killed is started again within this time, or not (ms). */
const REBIRTH = 5000;
/** In that time one asks for a prompt so often (ms). */
const ATTEMPT = 1500;
/** A line of the agent's is short. */
const LONGEST_LINE = 256;
const HERE = 'understudy-shell-agent';

/** The shells of one guest. */
export class Shells implements SlotHost {
  ended: string | undefined;
  readonly #os: OsInstance;
  readonly #console: Console;
  readonly #random: (into: Uint8Array) => void;
  readonly #agent: ConsolePort | undefined;
  readonly #pairs: readonly (readonly [ConsolePort, ConsolePort])[];
  readonly #slots: (ShellSlot | undefined)[] = [];
  /** The agent has answered, and lives. */
  #isReady = false;
  #started: Promise<void> | undefined;
  /** The agent had answered, and was killed. */
  #isLost = false;
  #onReady: () => void = () => undefined;
  #line = '';

  /**
   * `ports`: of the console device, for the agent and for pairs of a shell's. `instead`: what the guest runs in place of
   * a shell on its console, if it does.
   */
  constructor(
    os: OsInstance,
    console: Console,
    ports: readonly ConsolePort[],
    random: (into: Uint8Array) => void,
    private readonly instead?: string,
  ) {
    this.#os = os;
    this.#console = console;
    this.#random = random;
    this.#agent = ports.at(0);
    this.#pairs = Array.from({ length: Math.max(0, Math.floor((ports.length - 1) / 2)) }, (_, i) => [
      ports[1 + 2 * i],
      ports[2 + 2 * i],
    ]);
    if (this.#agent !== undefined) {
      this.#agent.onData = (bytes) => this.#hear(bytes);
      this.#agent.onOpen = (open) => {
        if (!open && this.#isReady) this.#lose();
      };
    }
    void os.ended.then((end) => {
      this.ended = `${os.name} ended (${end.kind})`;
      for (const slot of this.#slots) slot?.notice();
    });
  }

  /** Throws SystemError `timeout`, `ended`, `no-shell`, or `no-port` when all ports are taken. */
  async open(options: WaitOptions): Promise<Shell> {
    checkTimeout(options.timeout ?? DEFAULT_TIMEOUT);
    if (this.ended !== undefined) throw new SystemError('ended', this.ended);
    const agent = this.#agent;
    const index = this.#pairs.findIndex((_, i) => this.#slots[i] === undefined);
    if (agent === undefined || index < 0) {
      throw new SystemError(
        'no-port',
        `${this.#os.name} has room for ${this.#pairs.length} shells at once, two console ports each: close one, or boot it with fewer ports`,
      );
    }
    if (this.instead !== undefined && this.#started === undefined && !this.#promptStands) {
      throw new SystemError(
        'no-shell',
        `${this.#os.name} runs ${this.instead} in place of a shell on its console, and no other shell can be started without one`,
      );
    }
    const [commands, written] = this.#pairs[index];
    const slot = new ShellSlot(index, commands, written, this);
    this.#slots[index] = slot;
    try {
      if (this.#isLost) await this.revive(performance.now() + (options.timeout ?? DEFAULT_TIMEOUT));
      else await (this.#started ??= this.#start(agent, () => this.#firstPrompt(options), options));
      this.#os.console.announce(commands.index);
      this.#os.console.announce(written.index);
      slot.begin();
      const deadline = performance.now() + (options.timeout ?? DEFAULT_TIMEOUT);
      if (!(await slot.renew(deadline))) throw new SystemError('timeout', 'the guest starts no shell');
      return new Shell(slot, () => {
        this.#slots[index] = undefined;
      });
    } catch (error) {
      this.#slots[index] = undefined;
      throw error;
    }
  }

  tell(line: string): void {
    // What is said to one that is no more would be heard by the next.
    if (this.ended === undefined && !this.#isLost) this.#agent?.write(new TextEncoder().encode(`${line}\n`));
  }

  mark(): string {
    const bytes = new Uint8Array(16);
    this.#random(bytes);
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  async revive(deadline: number): Promise<void> {
    const agent = this.#agent;
    if (!this.#isLost || agent === undefined) return;
    const timeout = Math.min(REBIRTH, Math.max(1, deadline - performance.now()));
    try {
      await (this.#started ??= this.#start(agent, () => this.#nextPrompt(timeout), { timeout }));
    } catch (cause) {
      if (cause instanceof SystemError && cause.code === 'ended') throw cause;
      throw new SystemError(
        'no-shell',
        `in ${this.#os.name} what starts shells was killed, and its console has no shell to start it again`,
        { cause },
      );
    }
  }

  /** Everything that belonged to the agent went with it. */
  #lose(): void {
    this.#isReady = false;
    this.#isLost = true;
    this.#started = undefined;
    this.#line = '';
    for (const slot of this.#slots) slot?.orphan();
  }

  get #promptStands(): boolean {
    return PROMPT.test(this.#console.text);
  }

  /** Waits for the shell on the console that the guest has begun with. */
  async #firstPrompt({ timeout = DEFAULT_TIMEOUT }: WaitOptions): Promise<void> {
    const deadline = performance.now() + timeout;
    // It may stand there, and somebody have waited for it already.
    if (!this.#promptStands) await this.#console.waitFor(PROMPT, { timeout });
    await this.#silence(Math.max(1, deadline - performance.now()));
  }

  /**
   * A prompt that was there before may be of a shell that is no more, and so may what takes what is typed: it is asked for
   * again and again.
   */
  async #nextPrompt(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    for (;;) {
      const attempt = Math.max(1, Math.min(ATTEMPT, deadline - performance.now()));
      await this.#console.waitFor(/[^]*/, { timeout });
      await this.#console.write('\n');
      try {
        await this.#console.waitFor(PROMPT, { timeout: attempt });
        return await this.#silence(attempt);
      } catch (error) {
        const isLate = error instanceof SystemError && error.code === 'timeout';
        if (!isLate || performance.now() >= deadline) throw error;
      }
    }
  }

  /** Has the shell on the console echo nothing. The mark is written in two parts: the terminal still echoes what is typed. */
  async #silence(timeout: number): Promise<void> {
    await this.#console.write(`stty -echo; PS2=; echo "shell-is-""ready"\n`);
    await this.#console.waitFor('shell-is-ready', { timeout });
  }

  /** Types the agent into the shell on the console, whose prompt comes back. */
  async #start(
    agent: ConsolePort,
    prompt: () => Promise<void>,
    { timeout = DEFAULT_TIMEOUT }: WaitOptions,
  ): Promise<void> {
    const console = this.#console;
    const deadline = performance.now() + timeout;
    try {
      await prompt();
      this.#os.console.announce(agent.index);
      const ready = new Promise<void>((resolve) => (this.#onReady = resolve));
      await console.write(
        `understudy=$(cat << '${HERE}'\n${SCRIPT}${HERE}\n)\n` +
          `(setsid sh -c "$understudy" sh "$understudy" agent ${agent.index} < /dev/null > /dev/null 2>&1 &)\n` +
          `unset understudy; PS2='> '; stty echo\n`,
      );
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<'late'>((resolve) => {
        timer = startTimer(() => resolve('late'), deadline - performance.now());
      });
      const first = await Promise.race([ready, late, this.#os.ended]);
      clearTimeout(timer);
      if (first === 'late') {
        throw new SystemError(
          'timeout',
          `nothing answered on /dev/vport0p${agent.index} in ${timeout} ms: a shell needs a kernel with virtio-console, and setsid`,
        );
      }
      if (first !== undefined) throw new SystemError('ended', `${this.#os.name} ended (${first.kind})`);
    } catch (error) {
      this.#started = undefined;
      throw error;
    }
  }

  #hear(bytes: Uint8Array): void {
    const lines = (this.#line + new TextDecoder('latin1').decode(bytes)).split('\n');
    this.#line = (lines.pop() ?? '').slice(-LONGEST_LINE);
    for (const line of lines) {
      if (line === 'ready') {
        this.#isReady = true;
        this.#isLost = false;
        this.#onReady();
      }
      const [, what, index, value] = /^(keeper|gone|started|ended) (\d{1,2}) (\d{1,10})$/.exec(line) ?? [];
      if (what !== undefined) this.#slots[Number(index)]?.told(what, value);
    }
  }
}
