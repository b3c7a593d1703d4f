/**
 * The VMM: the one owner of the computer. It gives each OS instance a partition, and
 * takes it back when the instance is gone.
 */
import { Clock, hostNow } from '../computer/clock.js';
import { ComputerError } from '../computer/errors.js';
import { Frames } from '../computer/frames.js';
import { FRAME_SIZE, MachineMemory } from '../computer/memory.js';
import { SeatTable, seatTableSize, type HartClaim } from '../computer/seat-table.js';
import { Turns } from '../computer/turns.js';
import { buildCore, type CoreCode } from '../hart/core/index.js';
import type { EngineOptions } from '../hart/engine.js';
import { cushion } from './address-space.js';
import type { HartSupply, LogicalHart, Platform } from './hart.js';
import { Harts } from './harts.js';
import { MONITOR_BYTES, shareMachine } from './limits.js';
import { Partition } from './partition.js';

/** When less than this part of its frames is left, and at most so many, the computer is short of memory. */
const LOW_PART = 16;
const MOST_LOW = 16_384;
/** So often at most it says so (ms). */
const TELLS = 50;

/** What a VMM is made with. */
export interface VmmOptions {
  /** Bytes for the OS instances together. */
  readonly memory: number;
  readonly harts: number;
  /** What `memory` and `harts` can be brought to while OS instances run; as much as there is unless told. */
  readonly maxMemory?: number;
  readonly maxHarts?: number;
  /** How harts run code; mostly for tests. */
  readonly engine?: EngineOptions;
  /** Have the harts keep account of where their time goes. */
  readonly profile?: boolean;
}

/** Frames in a row that the VMM needs itself: for devices and its drivers, for the state of logical harts. */
export interface OwnFrames {
  readonly what: 'monitor' | 'harts';
  readonly first: number;
  readonly count: number;
}

const framesOf = (bytes: number): number => Math.ceil(bytes / FRAME_SIZE);

/** What of a partition is not said by how many harts and how much memory it has. */
export interface PartitionOptions {
  /** Harts that it may have some day; as many as it has now unless told. */
  readonly maxHarts?: number;
  /**
   * Bytes of its memory that are its own whatever others take; all of it unless told. The rest it gets when it is first
   * touched, if it is there then.
   */
  readonly guaranteed?: number;
  /** It shares harts with others; without, its harts are its own. */
  readonly share?: HartClaim | undefined;
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
  /** What the computer has, and what it can be brought to. */
  readonly #memory: { has: number; readonly most: number };
  readonly #mostHarts: number;
  readonly #framesOfHart: number;
  readonly #harts: Harts;
  readonly #own: OwnFrames[] = [];
  readonly #partitions = new Set<Partition>();
  /**
   * Told well before the last frame is gone, and again and again while that lasts, how many frames others should give: OS
   * instances take of what is promised to nobody.
   */
  onPressure: (frames: number) => void = () => undefined;
  #told = -Infinity;

  /** Throws ComputerError `too-large` or `memory`, or what starting a thread throws; no thread remains then. */
  constructor(
    readonly platform: Platform,
    { memory, harts, maxMemory = memory, maxHarts = harts, engine = {}, profile = false }: VmmOptions,
  ) {
    if (maxMemory < memory || maxHarts < harts) {
      throw new ComputerError('too-large', 'a computer has more than the most that it can be brought to');
    }
    const { logicalHarts, limits, hartFrames, predecodePages, controlOfHart, controlOfInstances } = shareMachine(
      maxMemory,
      maxHarts,
    );
    this.#memory = { has: memory, most: maxMemory };
    this.#mostHarts = maxHarts;
    this.#framesOfHart = controlOfHart / FRAME_SIZE;
    this.machine = MachineMemory.create(limits);
    const forMonitor = MONITOR_BYTES / FRAME_SIZE;
    const first = this.#keep('monitor', forMonitor);
    this.monitorFrames = new Frames(this.machine.bytes, first, first + forMonitor);
    this.turns = new Turns((run) => platform.soon(run));
    this.clock = new Clock(hostNow());
    this.core = buildCore(limits, predecodePages);
    this.engine = engine;
    this.profile = profile;
    const blocks = this.#keep('harts', logicalHarts * hartFrames);
    const seats = this.#keep('harts', framesOf(seatTableSize(logicalHarts))) * FRAME_SIZE;
    const table = new SeatTable(this.machine.buffer, seats, logicalHarts);
    // What comes later lies at the end: all that is allocated here lies before it.
    const later = framesOf(maxMemory - memory) + (maxHarts - harts) * this.#framesOfHart;
    this.machine.frames.withhold(later);
    this.machine.frames.keepForRuns(framesOf(controlOfInstances) - (maxHarts - harts) * this.#framesOfHart);
    this.#harts = new Harts(platform, harts, { first: blocks, frames: hartFrames, count: logicalHarts }, table, seats);
  }

  /** Frames in a row that are the VMM's own as long as there is a computer. */
  #keep(what: OwnFrames['what'], count: number): number {
    this.machine.frames.keepForRuns(count);
    const first = this.machine.frames.allocateRun(count);
    this.#own.push({ what, first, count });
    return first;
  }

  /** Frames that are the VMM's own. */
  get own(): readonly OwnFrames[] {
    return this.#own;
  }

  /** All partitions that have something of the computer. */
  get partitions(): Iterable<Partition> {
    return this.#partitions;
  }

  /** Harts that the computer has. */
  get harts(): number {
    return this.#harts.total;
  }

  /** Bytes that it has for OS instances. */
  get memory(): number {
    return this.#memory.has;
  }

  /**
   * Adds memory, which nobody has at first. Throws ComputerError `too-large` if that is more than it can be brought to;
   * effect then: none.
   */
  addMemory(bytes: number): void {
    const { has, most } = this.#memory;
    if (has + bytes > most) {
      throw new ComputerError(
        'too-large',
        `a computer of ${has} bytes has room for ${most - has} more, not for ${bytes}`,
      );
    }
    // Counted from all there is then: parts of frames add up.
    this.machine.frames.add(framesOf(most - has) - framesOf(most - has - bytes));
    this.#memory.has += bytes;
  }

  /**
   * Adds harts, which nobody has at first. Throws ComputerError `too-large` if there are more than there may be, or what
   * starting a thread throws; effect then: none.
   */
  addHarts(count: number): void {
    const { total } = this.#harts;
    if (total + count > this.#mostHarts) {
      throw new ComputerError('too-large', `a computer of ${total} harts has room for ${this.#mostHarts - total} more`);
    }
    this.#harts.add(count);
    this.machine.frames.add(count * this.#framesOfHart);
    this.machine.frames.keepForRuns(count * this.#framesOfHart);
  }

  /** Harts that an OS instance could have to itself. */
  get freeHarts(): number {
    return this.#harts.free;
  }

  /** Harts that the instances that share them share now; 0 if there are none. */
  get sharedHarts(): number {
    return this.#harts.shared;
  }

  /** Bytes of machine memory that belong to nobody. */
  get freeMemory(): number {
    return this.machine.frames.available * FRAME_SIZE;
  }

  /**
   * A partition with so many harts, and room for `maxHarts` (`Partition.giveHart`).
   * Throws ComputerError `no-hart` or `no-frames`, or what starting a thread throws, having taken nothing.
   */
  partition(
    harts: number,
    memory: number,
    { maxHarts = harts, guaranteed = memory, share }: PartitionOptions = {},
  ): Partition {
    const blocks = this.#harts.takeBlocks(maxHarts);
    const mine = blocks.map((block): LogicalHart => ({ block, thread: undefined }));
    let of: ReturnType<Harts['share']> | undefined;
    let supply: HartSupply | undefined;
    const giveBack = (): void => {
      for (const { block, thread } of mine) if (thread !== undefined) supply?.giveBack(block, thread);
      of?.close();
      this.#harts.giveBackBlocks(blocks);
    };
    const { machine: frames, core, engine, clock, profile } = this;
    const machine = { memory: frames, core, engine, clock, profile, framesTaken: () => this.#framesTaken() };
    const [pages, own] = [memory, guaranteed].map((bytes) => Math.floor(bytes / FRAME_SIZE));
    try {
      of = share && this.#harts.share(harts, share);
      const from = (supply = of?.supply ?? this.#harts.own(harts));
      for (const hart of mine.slice(0, harts)) hart.thread = from.take(hart.block);
      const partition = new Partition({ machine, harts: mine, supply: from, share: of?.share }, pages, own, () => {
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

  /** Somebody has taken frames that were promised to nobody: are enough left? */
  #framesTaken(): void {
    const { frames } = this.machine;
    const low = Math.min(MOST_LOW, Math.floor(frames.total / LOW_PART));
    const { loose } = frames;
    if (loose >= low) return;
    // What waits in reserves is of use to those first who cannot wait.
    if (loose < cushion(frames) / 2) for (const { space } of this.#partitions) space.giveBackReserve();
    const now = performance.now();
    if (now - this.#told < TELLS) return;
    this.#told = now;
    this.onPressure(2 * low - loose);
  }

  /** Stops everything; no thread remains. */
  async close(): Promise<void> {
    await Promise.all([...this.#partitions].map((partition) => partition.release()));
    await this.#harts.close();
  }
}
