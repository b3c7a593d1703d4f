import type { Batch, BatchResult } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupportedNow } from '../errors.js';
import { AT_FDCWD, AT_REMOVEDIR, EEXIST, ENOENT, O } from '../linux/flags.js';
import { making } from '../linux/making.js';
import { check, readText, readTexts, writeText } from '../linux/os.js';
import { cgroupsBelow, countBelow, idsOf, processesIn } from './cgroup-below.js';
import { together } from '../together.js';

const ROOT = '/sys/fs/cgroup';
/** Times that a call is made without which nothing is undone. */
const ATTEMPTS = 3;
/** What a domain may limit below itself. */
const CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'pids'];

/** The cgroup (version 2) of one domain in one OS instance. */
export class Cgroup {
  readonly path: string;

  constructor(
    readonly hands: Hands,
    name: string,
  ) {
    this.path = `${ROOT}/${name}`;
  }

  /** Cgroups below that the domain itself froze: for as long as it is worked on they are not. */
  #frozenBelow: readonly string[] = [];
  /** How many cgroups there were below when its processes were looked for. */
  #nested = 0;
  get frozenBelow(): readonly string[] {
    return this.#frozenBelow;
  }
  get isNested(): boolean {
    return this.#nested > 0;
  }

  /** Whether a domain of this name has processes in an OS instance. */
  static async isPopulated(hands: Hands, name: string): Promise<boolean> {
    if (await hands.hasEnded()) return false;
    return /^populated 1$/m.test((await readText(hands, `${ROOT}/${name}/cgroup.events`)) ?? '');
  }

  async create(): Promise<void> {
    // What the kernel offers is the domain's to use, as far as the instance itself lets it. Where not, it goes without.
    await together(CONTROLLERS.map((name) => writeText(this.hands, `${ROOT}/cgroup.subtree_control`, `+${name}`)));
    const b = this.hands.batch();
    const made = b.call(SYS.mkdirat, AT_FDCWD, b.str(this.path), 0o755);
    const r = (await b.run()).value(made);
    if (r === -EEXIST)
      throw new DomainError('state', `${this.path} is there already: a domain of this name runs in this OS instance`);
    check(r, `creating ${this.path} (is cgroup2 mounted at ${ROOT}?)`);
  }

  async remove(): Promise<void> {
    // Nothing else takes it away: a call that fails once is made again.
    let failed = -1;
    for (let attempt = 0; failed < 0 && failed !== -ENOENT && attempt < ATTEMPTS; attempt++) {
      const below = await this.below();
      const b = this.hands.batch();
      for (const path of below.reverse()) b.call(SYS.unlinkat, AT_FDCWD, b.str(path), AT_REMOVEDIR);
      const gone = b.call(SYS.unlinkat, AT_FDCWD, b.str(this.path), AT_REMOVEDIR);
      failed = (await b.run()).value(gone);
    }
    if (failed !== -ENOENT) check(failed, `removing ${this.path}`);
  }

  /** Ids of the processes in it and below, in the hands' PID namespace. */
  async processes(): Promise<number[]> {
    const [text, stat] = await readTexts(this.hands, [`${this.path}/cgroup.procs`, `${this.path}/cgroup.stat`], 1);
    if (text === undefined) throw new DomainError('lost', `${this.path} is gone`);
    this.#nested = countBelow(stat);
    if (this.#nested === 0) return idsOf(text);
    return processesIn(this.hands, [this.path, ...(await cgroupsBelow(this.hands, this.path, this.#nested))]);
  }

  /** Paths of the cgroups that the domain made below it, parents before children. */
  async below(): Promise<string[]> {
    const count = countBelow(await readText(this.hands, `${this.path}/cgroup.stat`));
    return count === 0 ? [] : cgroupsBelow(this.hands, this.path, count);
  }

  /**
   * Stops every task in it; answers its processes when all stand still. Throws `unsupported` (passing), by name, if they
   * do not within `patience` milliseconds; the freezer is still on then, and to be taken off ({@link thaw}).
   */
  async freeze(patience: number): Promise<number[]> {
    const end = performance.now() + patience;
    for (let turn = 0; turn === 0 || performance.now() < end; turn++) {
      const [written, , events, processes] = await together([
        turn === 0 ? writeText(this.hands, `${this.path}/cgroup.freeze`, '1') : 0,
        // Tasks stop at their next return to user mode; let them run.
        this.#sleep(turn < 20 ? 500_000 : 2_000_000),
        readText(this.hands, `${this.path}/cgroup.events`),
        this.processes(),
      ]);
      check(written, `freezing ${this.path}`);
      if (/^frozen 1$/m.test(events ?? '')) return processes;
    }
    throw unsupportedNow('a wait that cannot be interrupted', await this.#whoRuns());
  }

  /** Names of processes that do not stand still. */
  async #whoRuns(): Promise<string> {
    const pids = await this.processes();
    const texts = await readTexts(
      this.hands,
      pids.map((pid) => `/proc/${pid}/stat`),
      1,
    );
    // proc_pid_stat(5): the state comes after the name, which may hold anything.
    const running = pids.filter((_, i) => /.*\) [RD] /s.test(texts[i] ?? ''));
    return running.length === 0 ? this.path : `process ${running.join(', process ')}`;
  }

  /**
   * Adds asking for the freeze without waiting, for tasks that stand still already. If it fails the rest of the batch is
   * left out, and what is answered throws.
   */
  addHoldStill(b: Batch): (r: BatchResult) => Promise<void> {
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`${this.path}/cgroup.freeze`), O.WRONLY | O.CLOEXEC, 0);
    const n = b.must(SYS.write, fd, b.str('1'), 1);
    b.call(SYS.close, fd);
    return (r) =>
      making(this.hands, (note) => {
        note(r.value(fd));
        for (const ref of [fd, n]) check(r.value(ref), `freezing ${this.path}`);
        return Promise.resolve();
      });
  }

  /**
   * Lets go whoever is not stopped in another way, so that those who are can make the calls they are told: also where the
   * domain had frozen a cgroup of its own, which {@link thaw} freezes again.
   */
  async lift(): Promise<void> {
    if (this.#nested > 0) await this.#liftBelow();
    await this.#thaw();
  }

  async #liftBelow(): Promise<void> {
    const below = await this.below();
    const frozen = await readTexts(
      this.hands,
      below.map((path) => `${path}/cgroup.freeze`),
      1,
    );
    this.#frozenBelow = below.filter((_, i) => frozen[i]?.startsWith('1') === true);
    await this.#freezeBelow('0');
  }

  async #freezeBelow(value: '0' | '1'): Promise<void> {
    const results = await together(
      this.#frozenBelow.map((path) => writeText(this.hands, `${path}/cgroup.freeze`, value)),
    );
    for (const result of results) if (result !== -ENOENT) check(result, `freezing below ${this.path}`);
  }

  /** The end of a freeze. */
  async thaw(): Promise<void> {
    if (this.#frozenBelow.length > 0) await this.#freezeBelow('1');
    this.#frozenBelow = [];
    await this.#thaw();
  }

  async #thaw(): Promise<void> {
    check(await writeText(this.hands, `${this.path}/cgroup.freeze`, '0'), `thawing ${this.path}`);
  }

  /** Kills every task in it, frozen or traced, and waits until none is left. */
  async kill(): Promise<void> {
    // Nothing else ends what is in it: a call that fails once is made again.
    let failed = -1;
    for (let attempt = 0; failed < 0 && attempt < ATTEMPTS; attempt++)
      failed = await writeText(this.hands, `${this.path}/cgroup.kill`, '1');
    check(failed, `killing ${this.path}`);
    for (let turn = 0; turn < 2000; turn++) {
      // What the hands trace or begot is theirs to bury.
      for (let reaped = 1; reaped > 0;) reaped = await this.hands.syscall(SYS.wait4, -1, 0, 0x40000001, 0);
      if (await this.#isEmpty(turn)) return;
      await this.#sleep(500_000);
    }
    throw new DomainError('state', `tasks in ${this.path} do not die`);
  }

  /** Whether no task is left. What cannot be read at first is not known yet. */
  async #isEmpty(turn: number): Promise<boolean> {
    try {
      return /^populated 0$/m.test((await readText(this.hands, `${this.path}/cgroup.events`)) ?? '');
    } catch (error) {
      if (turn < ATTEMPTS && error instanceof DomainError && error.code === 'guest') return false;
      throw error;
    }
  }

  async #sleep(nanoseconds: number): Promise<void> {
    const b = this.hands.batch();
    b.call(SYS.nanosleep, b.bytes(new Uint8Array(new BigInt64Array([0n, BigInt(nanoseconds)]).buffer)), 0);
    await b.run();
  }
}
