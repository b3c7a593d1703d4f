/**
 * A program in a domain of its own, for whoever runs it: what it writes, how it ends, whether it could move, the move.
 *
 *     const web = await Domain.run(carrier, { name: 'web', argv: ['/usr/sbin/nginx'], root: '/trees/web' });
 *     const { obstacles } = await web.check();
 *     await web.move(understudy);
 *     await web.stop();
 */
import { DomainError } from '../../domain/errors.js';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, SIG } from '../../domain/linux/flags.js';
import { readTexts } from '../../domain/linux/os.js';
import type { DomainSpec, ProgramEnd } from '../../domain/tree/anchor.js';
import { parseStatus } from '../../domain/proc/status.js';
import { PROGRAM } from '../../domain/trace/runner.js';
import { Cgroup } from '../../domain/tree/cgroup.js';
import { closeEnds, type WindowSize } from '../../domain/tree/host-ends.js';
import { launch, type RunningDomain } from '../../domain/tree/launch.js';
import { WRITABLE, type OwnFolder } from '../../domain/tree/folders.js';
import { checkProgram, type Limits, type Program } from '../../domain/tree/program.js';
import type { DomainNetwork } from '../../domain/tree/netlink.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { MigrationReport } from '../../remapping/migrate.js';
import { findObstacles, type Obstacle } from '../../remapping/survey.js';
import type { Carrier } from '../carrier.js';
import { goesOn } from '../errors.js';
import { moveDomain, type MoveOptions } from '../move.js';
import { feed } from './feed.js';
import { HostSide, type DomainInput, type InputData } from './host-side.js';
import { KeptOutput, OutputFile, type OnOutput } from './output.js';
import { findAccount } from './users.js';

/** Options of {@link Domain.run}: a program, and what its domain is. */
export interface RunOptions {
  /** Letters, digits, `-`, `_`: of its cgroup, and its host name. */
  readonly name: string;
  /** The executable, by its path as the domain sees it or by a name in PATH, then its arguments. */
  readonly argv: readonly [string, ...string[]];
  /** Beside PATH, HOME, USER and LOGNAME. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** `user` or `user:group`, by name or number; root unless told. */
  readonly user?: string;
  readonly limits?: Limits;
  readonly umask?: number;
  /** File that it reads as its standard input; `/dev/null` unless told. */
  readonly input?: string;
  /**
   * What it reads as its standard input: all that the iterable gives, to its end, or (`open`) what is written to
   * {@link Domain.stdin}. With a terminal it is typed.
   */
  readonly stdin?: 'open' | Iterable<InputData> | AsyncIterable<InputData>;
  /** A terminal of this size is its standard input, output and error: what is written to {@link Domain.stdin} is typed. */
  readonly tty?: WindowSize;
  /** The end of its output that is kept (bytes); 1 MiB unless told. */
  readonly keptOutput?: number;
  /** Without `nic` it gets a network card for itself: several domains of an OS instance can have one. */
  readonly network?: DomainNetwork;
  /** Folder of the OS instance that is its root, such as `/trees/NAME`; the instance's own unless told. */
  readonly root?: string;
  /**
   * Folders of its own, in memory, which go along; with a root of its own /run, /tmp, /dev/shm and /var unless told.
   * What it writes elsewhere stays behind, or it may not be moved for it.
   */
  readonly folders?: readonly OwnFolder[];
  /** Programs that run in the domain before it, as root. */
  readonly before?: readonly (readonly [string, ...string[]])[];
}

/** How a domain came to its end. `lost`: with its OS instance. */
export type DomainEnd = ProgramEnd | { readonly kind: 'lost'; readonly message: string };

/** Something in the way of a move, and since when it has been seen there. */
export interface SeenObstacle extends Obstacle {
  /** When it was seen first, at a check since which it has been seen at every other (ms since 1970). */
  readonly since: number;
}

/** What a check of a domain comes to. */
export interface DomainCheck {
  readonly movable: boolean;
  /** All that is in the way, not only what a move would be refused for first. */
  readonly obstacles: readonly SeenObstacle[];
}

/** How often one looks for output and for the end (ms). */
const LOOK = 150;
const KEPT = 2 ** 20;
/** Time to end by itself before it is killed (ms). */
const GRACE = 10_000;
/** For its output file to be emptied a domain stands still; whoever cannot is tried again (ms). */
const MOST_FREEZE = 200;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

/**
 * A program that runs as a process domain, in whichever OS instance that is: started, listened to, checked, moved, ended.
 *
 *     const domain = await Domain.run(carrier, { name: 'web', argv: ['/usr/sbin/nginx', '-g', 'daemon off;'] });
 *     const { pauseMs } = await domain.move(other);
 *     await domain.stop();
 */
export class Domain {
  /** When it was started (ms since 1970). */
  readonly since = Date.now();
  /** How it ended; resolves when its last process has, and nothing of it is left in the instance. */
  readonly ended: Promise<DomainEnd>;
  #domain: RunningDomain;
  #carrier: Carrier;
  #end: DomainEnd | undefined;
  readonly #output: KeptOutput;
  readonly #file: OutputFile;
  readonly #host: HostSide | undefined;
  #seen = new Map<string, number>();
  /** What is done at it waits for what was asked for before. */
  #queue: Promise<unknown> = Promise.resolve();
  #tellEnd: (end: DomainEnd) => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(domain: RunningDomain, carrier: Carrier, path: string, options: RunOptions) {
    const { keptOutput = KEPT, stdin, tty } = options;
    this.#domain = domain;
    this.#carrier = carrier;
    this.#output = new KeptOutput(keptOutput);
    this.#file = new OutputFile(path, this.#output);
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    if (stdin !== undefined || tty !== undefined)
      this.#host = new HostSide(() => this.#domain, this.#output, tty !== undefined);
    if (this.#host !== undefined && stdin !== undefined && stdin !== 'open') void feed(stdin, this.#host, this.ended);
    this.#lookLater();
  }

  /** Starts a program as a domain in an OS instance. Throws DomainError; nothing of it is left then. */
  static async run(carrier: Carrier, options: RunOptions): Promise<Domain> {
    const { name, argv, user, network, root, stdin, tty } = options;
    if (!NAME.test(name))
      throw new DomainError('state', `a domain cannot be called "${name}": letters, digits, - and _`);
    const { hands } = carrier;
    const account = user === undefined ? undefined : await findAccount(hands, root ?? '', user);
    const path = outputOf(name);
    const identity = account === undefined ? {} : { HOME: account.home, USER: account.name, LOGNAME: account.name };
    const env = { PATH, HOME: '/root', ...identity, ...options.env };
    const [executable, ...args] = argv;
    const program: Program = {
      argv: [await findProgram(hands, root ?? '', executable, env.PATH), ...args],
      env,
      output: path,
      ...(account !== undefined && { user: account }),
      folders: options.folders ?? (root === undefined ? [] : WRITABLE),
      ...pick(options, ['cwd', 'limits', 'umask', 'input', 'before', 'tty']),
      ...(stdin !== undefined && tty === undefined && { stdin: true }),
    };
    checkProgram(program);
    // Before the file is touched: it is that of the domain which runs.
    if (await Cgroup.isPopulated(hands, name))
      throw new DomainError('state', `a domain called ${name} runs in ${carrier.name} already`);
    await unlink(carrier, path);
    let given = network;
    if (network !== undefined) {
      if (network.nic === undefined) given = await carrier.giveCard(network);
      else carrier.keepAddresses(network);
    }
    const spec: DomainSpec = {
      ...{ name, hostname: name, lingers: true },
      ...(root !== undefined && { root }),
      ...(given !== undefined && { network: given }),
    };
    try {
      return new Domain(await launch(hands, spec, program), carrier, path, options);
    } finally {
      if (given !== undefined) carrier.cards.letGo(given);
    }
  }

  get name(): string {
    return this.#domain.spec.name;
  }
  /** The OS instance that it is in. */
  get carrier(): Carrier {
    return this.#carrier;
  }
  /** As the library's lower floor has it; another one after a move. */
  get running(): RunningDomain {
    return this.#domain;
  }
  /** How it ended; undefined while it runs. */
  get end(): DomainEnd | undefined {
    return this.#end;
  }

  /** What it reads as its standard input, or has typed at its terminal; undefined: neither is the host's. */
  get stdin(): DomainInput | undefined {
    return this.#host;
  }

  /** Gives its terminal another size: the program is told (SIGWINCH). Throws DomainError `state` where it has none, `ended`. */
  async resize(size: WindowSize): Promise<void> {
    if (this.#host?.isTerminal !== true)
      throw new DomainError('state', `domain ${this.name} has no terminal of the host's`);
    await this.#host.resize(size);
  }

  /** The end of what it has written, of standard output and error as they came. */
  logs(): Uint8Array {
    return this.#output.bytes();
  }

  /** Tells of what it writes from now on, wherever it is, until the function that this answers is called. */
  onOutput(listener: OnOutput): () => void {
    return this.#output.listen(listener);
  }

  /** Its processes, by their ids in the domain, with their names. Empty when it has ended. */
  async processes(): Promise<{ pid: number; name: string }[]> {
    return this.#inTurn(async () => {
      if (this.#end !== undefined) return [];
      return (await this.#members()).map(({ pid, name }) => ({ pid, name }));
    });
  }

  /** Its processes by their ids in the hands' namespace, without the first one, which is no part of it. */
  async #own(): Promise<number[]> {
    const { anchor } = this.#domain;
    return (await anchor.cgroup.processes()).filter((pid) => pid !== anchor.pid);
  }

  /** As {@link #own}, with what they are called and their ids in the domain; those that end meanwhile are left out. */
  async #members(): Promise<{ hostPid: number; pid: number; name: string }[]> {
    const own = await this.#own();
    const texts = await readTexts(
      this.#domain.hands,
      own.map((pid) => `/proc/${pid}/status`),
      1,
    );
    return own.flatMap((hostPid, i) => {
      const { name, nsPid } = parseStatus(texts[i] ?? '');
      const pid = nsPid.at(-1);
      return pid === undefined ? [] : [{ hostPid, pid, name }];
    });
  }

  /**
   * Whether it could move, and everything that is in the way; nothing is changed. `to`: where it would go; undefined:
   * anywhere. Throws DomainError `ended`.
   */
  async check(to?: Carrier): Promise<DomainCheck> {
    return this.#inTurn(async () => {
      this.#refuseEnded();
      const now = Date.now();
      const { anchor, spec } = this.#domain;
      // As in a move, which sets this too.
      if (spec.network !== undefined && this.#carrier.portOf(spec.network) !== undefined)
        anchor.leave = () => undefined;
      const found = await findObstacles(this.#domain, to?.hands).finally(() => (anchor.leave = undefined));
      const obstacles = found.map((obstacle) => ({
        ...obstacle,
        since: this.#seen.get(obstacle.message) ?? now,
      }));
      this.#seen = new Map(obstacles.map(({ message, since }) => [message, since]));
      return { movable: obstacles.every(({ passing }) => passing), obstacles };
    });
  }

  /** Moves it to another OS instance of the computer. Throws as `moveDomain`; it goes on where it was then, unless it is `lost`. */
  async move(to: Carrier, options: MoveOptions = {}): Promise<MigrationReport> {
    return this.#inTurn(async () => {
      this.#refuseEnded();
      if (to === this.#carrier) throw new DomainError('state', `domain ${this.name} is in ${to.name} already`);
      try {
        const { domain, report } = await moveDomain(this.#domain, this.#carrier, to, this.#holding(options));
        this.#domain = domain;
        this.#carrier = to;
        return report;
      } catch (error) {
        if (!goesOn(error)) this.#finish({ kind: 'lost', message: messageOf(error) });
        throw error;
      } finally {
        this.#host?.release();
      }
    });
  }

  /** From the freeze on nothing is typed or read. */
  #holding(options: MoveOptions): MoveOptions {
    const host = this.#host;
    if (host === undefined) return options;
    return {
      ...options,
      onEvent: async (event) => {
        await options.onEvent?.(event);
        if (event.type === 'step' && event.step === 'freeze') await host.hold();
      },
    };
  }

  /** Sends its program a signal; where that has ended, all that is left. */
  async signal(signal: number): Promise<void> {
    await this.#inTurn(async () => {
      this.#refuseEnded();
      const all = await this.#members();
      const program = all.filter(({ pid }) => pid === PROGRAM);
      for (const { hostPid } of program.length > 0 ? program : all)
        await this.#domain.hands.syscall(SYS.kill, hostPid, signal);
    });
  }

  /** Ends it: SIGTERM, and when the time (ms) is over SIGKILL for all that is left. Answers how its program ended. */
  async stop({ timeout = GRACE }: { timeout?: number } = {}): Promise<DomainEnd> {
    if (this.#end !== undefined) return this.#end;
    if (timeout > 0) {
      await this.signal(SIG.TERM).catch(() => undefined);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const over = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), timeout)));
      const end = await Promise.race([this.ended, over]);
      clearTimeout(timer);
      if (end !== undefined) return end;
    }
    await this.#inTurn(async () => {
      if (this.#end === undefined) await this.#killAll();
    });
    return this.ended;
  }

  #refuseEnded(): void {
    if (this.#end !== undefined) throw new DomainError('ended', `domain ${this.name} has ended`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      void this.#inTurn(() => this.#look())
        .catch((error: unknown) => this.#lookFailed(error))
        .finally(() => {
          if (this.#end === undefined) this.#lookLater();
        });
    }, LOOK);
  }

  async #look(): Promise<void> {
    if (this.#end !== undefined) return;
    const domain = this.#domain;
    await this.#file.drain(domain);
    if (this.#file.isLong) await this.#emptyFile();
    const end = await domain.anchor.programEnd();
    if (end === undefined) return;
    // What it has left behind goes on.
    if ((await this.#own()).length > 0) return;
    await this.#drain();
    await this.#remove();
    this.#finish(end);
  }

  async #lookFailed(error: unknown): Promise<void> {
    const { hands } = this.#domain;
    if (await hands.hasEnded()) {
      this.#finish({
        kind: 'lost',
        message: `OS instance ${this.#carrier.name} ended, and domain ${this.name} with it`,
      });
    } else if (error instanceof DomainError && error.code === 'lost') {
      this.#finish({ kind: 'lost', message: error.message });
    }
  }

  async #emptyFile(): Promise<void> {
    const { cgroup } = this.#domain.anchor;
    try {
      await cgroup.freeze(MOST_FREEZE);
      await this.#file.empty(this.#domain);
    } catch {
      // Somebody in it cannot stand still now: the next look tries again.
    } finally {
      await cgroup.thaw();
    }
  }

  /** Ends all that is left, and with it the domain. */
  async #killAll(): Promise<void> {
    const domain = this.#domain;
    const { hands, anchor } = domain;
    for (const pid of await this.#own()) await hands.syscall(SYS.kill, pid, SIG.KILL);
    // The anchor takes leave of them, and knows how the program ended.
    for (let turn = 0; turn < 200; turn++) {
      if ((await this.#own()).length === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await this.#drain();
    const end = (await anchor.programEnd()) ?? { kind: 'killed' as const, signal: SIG.KILL };
    await this.#remove();
    this.#finish(end);
  }

  /** What it has written last. */
  async #drain(): Promise<void> {
    await this.#file.drain(this.#domain);
    await this.#host?.drain();
  }

  async #remove(): Promise<void> {
    const { anchor, hands } = this.#domain;
    this.#host?.close();
    await closeEnds(anchor);
    await anchor.cgroup.kill();
    await anchor.cgroup.remove();
    await hands.syscall(SYS.close, anchor.netns);
    await unlink(this.#carrier, outputOf(this.name));
  }

  #finish(end: DomainEnd): void {
    clearTimeout(this.#timer);
    this.#host?.close();
    this.#end ??= end;
    this.#tellEnd(this.#end);
  }
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** As a shell does: a name without a slash is looked for. Throws DomainError `state`. */
async function findProgram(hands: Carrier['hands'], root: string, name: string, path: string): Promise<string> {
  if (name.includes('/')) return name;
  const b = hands.batch();
  const stat = b.out(128);
  const found = path
    .split(':')
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => {
      const at = `${folder}/${name}`;
      return { at, got: b.call(SYS.newfstatat, AT_FDCWD, b.str(root + at), stat, AT_SYMLINK_NOFOLLOW) };
    });
  const r = await b.run();
  const [first] = found.filter(({ got }) => r.value(got) === 0);
  if (first === undefined) throw new DomainError('state', `there is no program ${name} in ${path}`);
  return first.at;
}

/** The file that takes what a domain writes, in the instance that it is in. */
const outputOf = (name: string): string => `/run/domain-${name}.out`;

async function unlink({ hands }: Carrier, path: string): Promise<void> {
  const b = hands.batch();
  b.call(SYS.unlinkat, AT_FDCWD, b.str(path), 0);
  await b.run();
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Pick<T, K>;
}
