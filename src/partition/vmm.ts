/**
 * The VMM: the one owner of the computer. It gives each OS instance a partition, and
 * takes it back when the instance is gone.
 */
import { Clock, hostNow } from '../computer/clock.js';
import { Frames } from '../computer/frames.js';
import { FRAME_SIZE, MachineMemory } from '../computer/memory.js';
import { Turns } from '../computer/turns.js';
import { buildCore, type CoreCode } from '../hart/core/index.js';
import type { EngineOptions } from '../hart/engine.js';
import type { LogicalHart, Platform } from './hart.js';
import { Harts } from './harts.js';
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

/** What of a partition is not said by how many harts and how much memory it has. */
export interface PartitionOptions {
  /** Harts that it may have some day; as many as it has now unless told. */
  readonly maxHarts?: number;
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
  readonly #harts: Harts;
  readonly #partitions = new Set<Partition>();

  /** Throws ComputerError `too-large` or `memory`, or what starting a thread throws; no thread remains then. */
  constructor(
    readonly platform: Platform,
    { memory, harts, engine = {}, profile = false }: VmmOptions,
  ) {
    const { logicalHarts, limits, hartFrames, predecodePages } = shareMachine(memory, harts);
    this.machine = MachineMemory.create(limits);
    const forMonitor = MONITOR_BYTES / FRAME_SIZE;
    const first = this.machine.frames.allocateRun(forMonitor);
    this.monitorFrames = new Frames(this.machine.bytes, first, first + forMonitor);
    this.turns = new Turns((run) => platform.soon(run));
    this.clock = new Clock(hostNow());
    this.core = buildCore(limits, predecodePages);
    this.engine = engine;
    this.profile = profile;
    const blocks = this.machine.frames.allocateRun(logicalHarts * hartFrames);
    this.#harts = new Harts(platform, harts, { first: blocks, frames: hartFrames, count: logicalHarts });
  }

  /** Harts that belong to no OS instance. */
  get freeHarts(): number {
    return this.#harts.free;
  }

  /** Bytes of machine memory that belong to nobody. */
  get freeMemory(): number {
    return this.machine.frames.free * FRAME_SIZE;
  }

  /**
   * A partition with so many harts, and room for `maxHarts` (`Partition.giveHart`).
   * Throws ComputerError `no-hart` or `no-frames`, or what starting a thread throws, having taken nothing.
   */
  partition(harts: number, memory: number, { maxHarts = harts }: PartitionOptions = {}): Partition {
    const supply = this.#harts;
    supply.check(harts);
    const mine = supply.takeBlocks(maxHarts).map((block): LogicalHart => ({ block, thread: undefined }));
    const giveBack = (): void => {
      for (const { thread } of mine) if (thread !== undefined) supply.giveBack(thread);
      supply.giveBackBlocks(mine.map(({ block }) => block));
    };
    const { machine: frames, core, engine, clock, profile } = this;
    const machine = { memory: frames, core, engine, clock, profile };
    try {
      for (const hart of mine.slice(0, harts)) hart.thread = supply.take();
      const partition = new Partition(machine, mine, supply, Math.floor(memory / FRAME_SIZE), () => {
        this.#partitions.delete(partition);
        giveBack();
      });
      this.#partitions.add(partition);
      return partition;
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  /** Stops everything; no thread remains. */
  async close(): Promise<void> {
    await Promise.all([...this.#partitions].map((partition) => partition.release()));
    await this.#harts.close();
  }
}
