import type { Clock } from '../computer/clock.js';
import { ComputerError } from '../computer/errors.js';
import { FRAME_SIZE, type MachineMemory } from '../computer/memory.js';
import type { CoreCode } from '../hart/core/index.js';
import type { EngineOptions } from '../hart/engine.js';
import * as S from '../hart/state.js';
import {
  FETCH_TLB_SIZE,
  JUMP_CACHE,
  JUMP_CACHE_SIZE,
  MODES,
  PREDECODE_DIRECTORY,
  PREDECODED,
  TLB_SIZE,
  TLB_START,
} from '../hart/tlb.js';
import { LogicalAddressSpace, RAM_BASE } from './address-space.js';
import type { HartAssignment, HartMessage } from './assignment.js';
import type { Hart } from './hart.js';

/** How long the main thread looks again and again before it lets others have a turn (ms). */
const SPIN = 2;
/** A hart that has not stood still by then is stuck in its own thread (ms). */
const PAUSE_LIMIT = 10_000;

/** What a partition needs of the machine it is a part of. */
export interface Machine {
  readonly memory: MachineMemory;
  readonly core: CoreCode;
  readonly engine: EngineOptions;
  readonly clock: Clock;
  readonly profile: boolean;
}

/** The harts, frames and VMM-owned pages of one OS instance. */
export class Partition {
  readonly space: LogicalAddressSpace;
  /** Hart blocks by hart id. */
  readonly blocks: readonly number[];
  onMessage: (message: HartMessage) => void = () => undefined;

  readonly #runs: [first: number, count: number][] = [];
  #running = 0;
  #whenStopped: (() => void)[] = [];
  #pauses = 0;
  #released = false;
  #holds = 0;
  /** It was released, and its harts stand still, but somebody holds it. */
  #toGiveBack = false;

  /** Throws ComputerError `no-frames`, having taken nothing. */
  constructor(
    private readonly machine: Machine,
    private readonly harts: readonly Hart[],
    pages: number,
    private readonly onRelease: () => void,
  ) {
    this.blocks = harts.map(({ block }) => block);
    this.space = new LogicalAddressSpace(machine.memory, pages);
    harts.forEach((hart, id) => this.#initialise(hart.block, id));
  }

  /** Byte offset of `bytes` of cleared machine memory that no guest can reach; given back with the partition. */
  allocate(bytes: number): number {
    const count = Math.ceil(bytes / FRAME_SIZE);
    const first = this.machine.memory.frames.allocateRun(count);
    this.#runs.push([first, count]);
    return first * FRAME_SIZE;
  }

  /** Lets the harts run: hart 0 from `entry`, with `opaque` in a1; the others wait for hart_start. */
  start(entry: number, opaque: number, pages: Pick<HartAssignment, 'board' | 'mailbox' | 'doorbell'>): void {
    const { machine, blocks } = this;
    const { words, view } = machine.memory;
    view.setBigUint64(blocks[0] + S.HSM_START, BigInt(entry), true);
    view.setBigUint64(blocks[0] + S.HSM_OPAQUE, BigInt(opaque), true);
    Atomics.store(words, (blocks[0] + S.HSM) >>> 2, S.HSM_START_PENDING);
    this.harts.forEach(({ thread }, hartId) => {
      this.#running++;
      thread.onMessage = (message) => {
        if (message.type === 'stopped' || message.type === 'failed') this.#stopped();
        this.onMessage(message);
      };
      thread.assign({
        memory: machine.memory.memory,
        core: machine.core,
        engine: machine.engine,
        profile: machine.profile,
        harts: blocks,
        hartId,
        epoch: machine.clock.epoch,
        ...pages,
      });
    });
  }

  /**
   * Makes all harts stand still; resolves when they do. Nested pauses count. While it
   * lasts the VMM may change anything; translations are forgotten at the end.
   * Throws ComputerError `hart-failed` if a hart does not answer.
   */
  async pause(): Promise<void> {
    this.#pauses++;
    const { words } = this.machine.memory;
    for (const block of this.blocks) {
      Atomics.or(words, (block + S.REQUEST) >>> 2, S.REQUEST_PAUSE);
      S.signal(words, block);
    }
    const still = (): boolean =>
      this.blocks.every((block) => {
        const state = Atomics.load(words, (block + S.RUN_STATE) >>> 2);
        return state === S.RUN_STATE_PAUSED || state === S.RUN_STATE_STOPPED;
      });
    // Whoever stops several partitions has asked all of them before it looks.
    await Promise.resolve();
    const start = performance.now();
    while (!still()) {
      const waited = performance.now() - start;
      if (waited > PAUSE_LIMIT) throw new ComputerError('hart-failed', 'a hart does not stand still');
      if (waited > SPIN) await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
  }

  resume(): void {
    if (--this.#pauses > 0) return;
    const { words } = this.machine.memory;
    for (const block of this.blocks) {
      Atomics.and(words, (block + S.REQUEST) >>> 2, ~S.REQUEST_PAUSE);
      Atomics.notify(words, (block + S.REQUEST) >>> 2);
    }
  }

  /** Stops all harts for good. */
  async stop(): Promise<void> {
    if (this.#running === 0) return;
    const { words } = this.machine.memory;
    const stopped = new Promise<void>((resolve) => this.#whenStopped.push(resolve));
    for (const block of this.blocks) {
      Atomics.or(words, (block + S.REQUEST) >>> 2, S.REQUEST_STOP);
      Atomics.notify(words, (block + S.REQUEST) >>> 2);
      S.signal(words, block);
    }
    await stopped;
  }

  /**
   * Until the function that it answers is called, what the partition has stays its own, even when it is released
   * meanwhile: somebody may want back what lies in its memory. Once each.
   */
  hold(): () => void {
    this.#holds++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds--;
      if (this.#toGiveBack) this.#giveBack();
    };
  }

  /** Stops the harts and returns everything to the computer, as soon as nobody holds it. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.stop();
    this.#toGiveBack = true;
    this.#giveBack();
  }

  #giveBack(): void {
    if (this.#holds > 0) return;
    this.#toGiveBack = false;
    this.space.release();
    for (const [first, count] of this.#runs) this.machine.memory.frames.releaseRun(first, count);
    this.onRelease();
  }

  #stopped(): void {
    if (--this.#running > 0) return;
    for (const resolve of this.#whenStopped.splice(0)) resolve();
  }

  /** A hart as it comes out of reset, stopped. */
  #initialise(block: number, id: number): void {
    const { memory } = this.machine;
    const { words, view, bytes } = memory;
    bytes.fill(0, block, block + S.HART_STATE_SIZE);
    bytes.fill(0xff, block + TLB_START, block + TLB_START + MODES * TLB_SIZE + 2 * FETCH_TLB_SIZE);
    // Code of the OS instance that had the hart before must not be taken for this one's.
    bytes.fill(0, block + PREDECODE_DIRECTORY, block + PREDECODED);
    bytes.fill(0xff, block + JUMP_CACHE, block + JUMP_CACHE + JUMP_CACHE_SIZE);
    view.setBigInt64(block + S.STIMECMP, -1n, true);
    // As firmware leaves it: 6.12 without a performance monitor relies on it for rdtime in user mode.
    view.setBigInt64(block + S.SCOUNTEREN, 7n, true);
    view.setBigUint64(block + S.RAM_BASE, BigInt(RAM_BASE), true);
    words[(block + S.RAM_PAGES) >>> 2] = this.space.pages;
    words[(block + S.PAGE_MAP) >>> 2] = this.space.pageMap;
    words[(block + S.FRAME_WORDS) >>> 2] = memory.frameWords;
    words[(block + S.HART_ID) >>> 2] = id;
    words[(block + S.HSM) >>> 2] = S.HSM_STOPPED;
    words[(block + S.RESERVATION) >>> 2] = -1;
    words[(block + S.TLB_BASE) >>> 2] = TLB_START;
  }
}
