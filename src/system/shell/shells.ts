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
  #started: Promise<void> | undefined;
  #onReady: () => void = () => undefined;
  #line = '';

  /** `ports`: of the console device, for the agent and for pairs of a shell's. */
  constructor(os: OsInstance, console: Console, ports: readonly ConsolePort[], random: (into: Uint8Array) => void) {
    this.#os = os;
    this.#console = console;
    this.#random = random;
    this.#agent = ports.at(0);
    this.#pairs = Array.from({ length: Math.max(0, Math.floor((ports.length - 1) / 2)) }, (_, i) => [
      ports[1 + 2 * i],
      ports[2 + 2 * i],
    ]);
    if (this.#agent !== undefined) this.#agent.onData = (bytes) => this.#hear(bytes);
    void os.ended.then((end) => {
      this.ended = `${os.name} ended (${end.kind})`;
      for (const slot of this.#slots) slot?.notice();
    });
  }

  /** Throws SystemError `timeout`, `ended`, or `no-port` when all ports are taken. */
  async open(options: WaitOptions): Promise<Shell> {
    checkTimeout(options.timeout ?? DEFAULT_TIMEOUT);
    const agent = this.#agent;
    const index = this.#pairs.findIndex((_, i) => this.#slots[i] === undefined);
    if (agent === undefined || index < 0) {
      throw new SystemError(
        'no-port',
        `${this.#os.name} has room for ${this.#pairs.length} shells at once, two console ports each: close one, or boot it with fewer ports`,
      );
    }
    const [commands, written] = this.#pairs[index];
    const slot = new ShellSlot(index, commands, written, this);
    this.#slots[index] = slot;
    try {
      this.#started ??= this.#start(agent, options);
      await this.#started;
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
    if (this.ended === undefined) this.#agent?.write(new TextEncoder().encode(`${line}\n`));
  }

  mark(): string {
    const bytes = new Uint8Array(16);
    this.#random(bytes);
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** Types the agent into the shell on the console, whose prompt comes back. */
  async #start(agent: ConsolePort, { timeout = DEFAULT_TIMEOUT }: WaitOptions): Promise<void> {
    const console = this.#console;
    const deadline = performance.now() + timeout;
    const rest = (): WaitOptions => ({ timeout: Math.max(1, deadline - performance.now()) });
    try {
      await console.waitFor(PROMPT, { timeout });
      this.#os.console.announce(agent.index);
      const ready = new Promise<void>((resolve) => (this.#onReady = resolve));
      // The mark is written in two parts: the terminal still echoes what is typed.
      await console.write(`stty -echo; PS2=; echo "shell-is-""ready"\n`);
      await console.waitFor('shell-is-ready', rest());
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
      if (line === 'ready') this.#onReady();
      const [, what, index, value] = /^(keeper|gone|started|ended) (\d{1,2}) (\d{1,10})$/.exec(line) ?? [];
      if (what !== undefined) this.#slots[Number(index)]?.told(what, value);
    }
  }
}
