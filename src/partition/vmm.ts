/**
 * The VMM: the one owner of the computer. It gives each OS instance a partition, and
 * takes it back when the instance is gone.
 */
import { Clock, hostNow } from '../computer/clock.js';
import { ComputerError } from '../computer/errors.js';
import { Frames } from '../computer/frames.js';
import { FRAME_SIZE, MachineMemory } from '../computer/memory.js';
import { Turns } from '../computer/turns.js';
import { buildCore, type CoreCode } from '../hart/core/index.js';
import type { EngineOptions } from '../hart/engine.js';
import type { Hart, Platform } from './hart.js';
import { MONITOR_BYTES, shareMachine } from './limits.js';
import { Partition } from './partition.js';

/** What a VMM is made with. */
export interface VmmOptions {
  /** Bytes for the OS instances together. */
  readonly memory: number;
  readonly harts: number;
  /** How harts run code; mostly for tests. */
  readonly engine?: EngineOptions;
  /** Have the harts keep account of where their time goes. */
  readonly profile?: boolean;
}

/** The owner of a computer's harts, frames and threads, who gives partitions of it to OS instances. */
export class Vmm {
  readonly machine: MachineMemory;
  /** Frames that no OS instance ever has: devices' states, and the memory of the monitor's own drivers. */
  readonly monitorFrames: Frames;
  readonly clock: Clock;
  /** Whose turn it is on the main thread. */
  readonly turns: Turns;
  readonly core: CoreCode;
  readonly engine: EngineOptions;
  readonly profile: boolean;
  readonly #free: Hart[];
  readonly #all: readonly Hart[];
  readonly #partitions = new Set<Partition>();

  /** Throws ComputerError `too-large` or `memory`, or what starting a thread throws; no thread remains then. */
  constructor(
    readonly platform: Platform,
    { memory, harts, engine = {}, profile = false }: VmmOptions,
  ) {
    const { limits, hartFrames, predecodePages } = shareMachine(memory, harts);
    this.machine = MachineMemory.create(limits);
    const forMonitor = MONITOR_BYTES / FRAME_SIZE;
    const first = this.machine.frames.allocateRun(forMonitor);
    this.monitorFrames = new Frames(this.machine.bytes, first, first + forMonitor);
    this.turns = new Turns((run) => platform.soon(run));
    this.clock = new Clock(hostNow());
    this.core = buildCore(limits, predecodePages);
    this.engine = engine;
    this.profile = profile;
    const all: Hart[] = [];
    try {
      while (all.length < harts) {
        const block = this.machine.frames.allocateRun(hartFrames) * FRAME_SIZE;
        all.push({ block, thread: platform.startHartThread() });
      }
    } catch (error) {
      for (const { thread } of all) void thread.terminate();
      throw error;
    }
    this.#all = all;
    this.#free = [...this.#all];
  }

  /** Harts that belong to no OS instance. */
  get freeHarts(): number {
    return this.#free.length;
  }

  /** Bytes of machine memory that belong to nobody. */
  get freeMemory(): number {
    return this.machine.frames.free * FRAME_SIZE;
  }

  /** Throws ComputerError `no-hart` or `no-frames`, having taken nothing. */
  partition(harts: number, memory: number): Partition {
    if (harts > this.#free.length) {
      throw new ComputerError(
        'no-hart',
        `${harts} harts asked for, ${this.#free.length} of ${this.#all.length} are free`,
      );
    }
    const mine = this.#free.slice(0, harts);
    const { machine: frames, core, engine, clock, profile } = this;
    const machine = { memory: frames, core, engine, clock, profile };
    const partition = new Partition(machine, mine, Math.floor(memory / FRAME_SIZE), () => {
      this.#partitions.delete(partition);
      this.#free.push(...mine);
    });
    this.#free.splice(0, harts);
    this.#partitions.add(partition);
    return partition;
  }

  /** Stops everything; no thread remains. */
  async close(): Promise<void> {
    await Promise.all([...this.#partitions].map((partition) => partition.release()));
    await Promise.all(this.#all.map(({ thread }) => thread.terminate()));
  }
}
