/**
 * One scene: honest guests that watch over themselves, hostile ones, and a host that meanwhile does to all of them what it
 * does to domains that move, devices that are interposed, memory that is given back. What must hold is looked at all the
 * time; what a seed decides is what the guests are and what the host does, in which order.
 */
import { nodePlatform } from '../../src/adapters/node/platform.js';
import { OsInstance, type OsOptions } from '../../src/guest/os-instance.js';
import { BARE_MEMORY } from '../../src/guest/testing/bare-kernel.js';
import { watcherKernel, watchOf } from '../../src/guest/testing/watcher.js';
import { Random } from '../../src/hart/testing/random.js';
import { Vmm } from '../../src/partition/vmm.js';
import { flipUnseen } from './flip.js';
import { Hostile } from './hostile-instance.js';

const MIB = 2 ** 20;
const WATCHERS = 2;
const HOSTILES = 2;
/** The event loop goes round at least so often (ms), on a machine that others keep busy too. */
const LONGEST_LOOP = 15_000;
/** A watcher that has not got on by then stands still (ms). */
const STUCK = 20_000;
/** All guests have begun by then (ms). */
const WAKING = 120_000;

export interface SceneReport {
  readonly seed: number;
  /** What does not hold; undefined: everything does. */
  readonly finding: string | undefined;
  readonly flips: number;
  readonly reboots: number;
  readonly refusedDmas: number;
  /** Gadgets that hostile guests have been through, rounds of the watchers. */
  readonly gadgets: number;
  readonly rounds: number;
}

/** Plays a scene for some milliseconds. */
export async function play(seed: number, milliseconds: number): Promise<SceneReport> {
  const scene = new Scene(seed);
  try {
    await scene.run(milliseconds);
  } catch (error) {
    scene.found(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return scene.close();
}

class Scene {
  readonly #random: Random;
  readonly #vmm: Vmm;
  readonly #watchers: OsInstance[];
  readonly #hostiles: Hostile[];
  readonly #begun = { memory: 0, harts: 0 };
  #finding: string | undefined;
  #flips = 0;
  #rounds: number[] = [];
  #lastProgress: number[] = [];

  constructor(readonly seed: number) {
    const random = (this.#random = new Random(seed));
    const engine = random.pick([{}, {}, { threshold: 0 }, { threshold: 1, batch: 1, eager: true, maxRegions: 8 }]);
    const isShared = random.oneIn(3);
    // What the honest ones were promised is theirs; the others may find that there is no more.
    const isTight = random.oneIn(3);
    const memory = (WATCHERS + HOSTILES) * (isTight ? 26 : 40) * MIB;
    this.#vmm = new Vmm(nodePlatform, { memory, harts: isShared ? 2 : WATCHERS + 2 * HOSTILES, engine });
    const claim = (): Partial<OsOptions> =>
      isShared ? { share: { weight: random.between(1, 100), cpu: random.oneIn(3) ? 0.5 : Infinity } } : {};
    const hostileClaim = (): Partial<OsOptions> => ({
      ...claim(),
      ...((isTight || random.oneIn(2)) && { guaranteed: 8 * MIB }),
    });
    this.#begun.memory = this.#vmm.freeMemory;
    this.#begun.harts = this.#vmm.freeHarts;
    this.#watchers = Array.from({ length: WATCHERS }, (_, i) => {
      const os = new OsInstance(this.#vmm, {
        name: `watcher ${i}`,
        kernel: watcherKernel(),
        memory: BARE_MEMORY,
        ...claim(),
      });
      void os.ended.then(({ kind }) => {
        if (kind !== 'stopped') this.found(`watcher ${i} ended: ${kind}`);
      });
      os.start();
      return os;
    });
    this.#hostiles = Array.from(
      { length: HOSTILES },
      (_, i) => new Hostile(this.#vmm, `hostile ${i}`, random, hostileClaim, (what) => this.found(what)),
    );
  }

  found(what: string): void {
    this.#finding ??= what;
  }

  async run(milliseconds: number): Promise<void> {
    const random = this.#random;
    await this.#awake();
    const now = performance.now();
    this.#rounds = this.#watchers.map(() => 0);
    this.#lastProgress = this.#watchers.map(() => now);
    let looked = now;
    for (const end = now + milliseconds; performance.now() < end && this.#finding === undefined;) {
      await this.#act(random);
      if (random.oneIn(4)) await new Promise((resolve) => setTimeout(resolve, random.below(4)));
      else await new Promise((resolve) => setImmediate(resolve));
      this.#look(performance.now() - looked);
      looked = performance.now();
    }
  }

  /** Everybody runs: on a busy machine threads take their time to begin. */
  async #awake(): Promise<void> {
    const begun = performance.now();
    const asleep = (): boolean =>
      this.#watchers.some(({ partition }) => watchOf(partition.space).rounds === 0) ||
      this.#hostiles.some((hostile) => !hostile.hasBegun);
    while (asleep()) {
      if (performance.now() - begun > WAKING) throw new Error(`a guest has not begun within ${WAKING} ms`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async #act(random: Random): Promise<void> {
    const hostile = random.pick(this.#hostiles);
    if (hostile.isGone) return hostile.rebootIfStuck(random);
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#flip(random);
      case 4:
        return hostile.giveBackPages(random);
      case 5:
        return hostile.interpose(random);
      case 6:
        return hostile.disturb(random);
      case 7:
        return hostile.ask(random);
      case 8: {
        const letGo = await random.pick([...this.#watchers, hostile.os]).partition.pause();
        letGo();
        return;
      }
      default:
        return hostile.rebootIfStuck(random);
    }
  }

  async #flip(random: Random): Promise<void> {
    const all = [...this.#watchers, ...this.#hostiles.filter(({ isGone }) => !isGone).map(({ os }) => os)];
    const [one, other] = [random.pick(all), random.pick(all)];
    this.#flips += await flipUnseen(one.partition, other.partition, random);
  }

  #look(lap: number): void {
    if (lap > LONGEST_LOOP) this.found(`the event loop was away for ${lap.toFixed()} ms`);
    const now = performance.now();
    this.#watchers.forEach(({ partition }, i) => {
      const { rounds, faults, first } = watchOf(partition.space);
      if (faults > 0) this.found(`watcher ${i}: ${faults} faults, the first at 0x${first.toString(16)}`);
      if (rounds !== this.#rounds[i]) this.#lastProgress[i] = now;
      else if (now - this.#lastProgress[i] > STUCK) this.found(`watcher ${i} stands still`);
      this.#rounds[i] = rounds;
    });
  }

  async close(): Promise<SceneReport> {
    try {
      await Promise.all([
        ...this.#hostiles.map((hostile) => hostile.end()),
        ...this.#watchers.map((os) => os.destroy()),
      ]);
      const { freeMemory, freeHarts } = this.#vmm;
      if (freeMemory !== this.#begun.memory || freeHarts !== this.#begun.harts) {
        this.found(
          `${this.#begun.memory - freeMemory} bytes and ${this.#begun.harts - freeHarts} harts did not come back`,
        );
      }
    } catch (error) {
      this.found(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    await this.#vmm.close();
    const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
    return {
      finding: this.#finding,
      seed: this.seed,
      flips: this.#flips,
      reboots: sum(this.#hostiles.map(({ reboots }) => reboots)),
      refusedDmas: sum(this.#hostiles.map(({ refused }) => refused)),
      gadgets: sum(this.#hostiles.map(({ gadgets }) => gadgets)),
      rounds: sum(this.#rounds),
    };
  }
}
