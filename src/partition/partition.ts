import type { Clock } from '../computer/clock.js';
import { ComputerError } from '../computer/errors.js';
import {
  ASK_PAUSE,
  ASK_STOP,
  AtomicWords,
  GIVE_UP,
  LET_GO,
  SIGNAL,
  standsStill,
  take,
  toBegin,
  type Step,
} from '../computer/handshake.js';
import { FRAME_SIZE, type MachineMemory } from '../computer/memory.js';
import { askToForget, hasCounted } from '../computer/shoot-down.js';
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
import { LogicalAddressSpace, RAM_START } from './address-space.js';
import type { HartAssignment, HartMessage } from './assignment.js';
import type { PartitionShare } from './harts.js';
import type { HartSupply, HartThread, LogicalHart } from './hart.js';
import { gone, hold, letGo, mayMove, standing, start, stop, type Standing } from './standing.js';

/** How long the main thread looks again and again before it lets others have a turn (ms). */
const SPIN = 2;
/** The same, for harts that only forget: it happens often, and nobody waits for it. */
const FORGET_SPIN = 0.2;
/** A hart that has not stood still by then is stuck in its own thread (ms). */
const PAUSE_LIMIT = 10_000;
/** The thread of a hart that has not stopped by then is ended (ms). */
const STOP_LIMIT = 30_000;

/** Where a partition's harts find its devices and its mailbox. */
export type BoardPages = Pick<HartAssignment, 'board' | 'mailbox' | 'doorbell'>;

/** What a partition needs of the machine it is a part of. */
export interface Machine {
  readonly memory: MachineMemory;
  readonly core: CoreCode;
  readonly engine: EngineOptions;
  readonly clock: Clock;
  readonly profile: boolean;
  /** Frames that were promised to nobody have been taken, or were wanted and not there. */
  framesTaken(): void;
}

/** What a partition is made of, beside its frames. */
export interface PartitionParts {
  readonly machine: Machine;
  /** Those it has, which have threads, before those it may get. */
  readonly harts: readonly LogicalHart[];
  /** Where it gets harts from, and gives them back to. */
  readonly supply: HartSupply;
  readonly share: PartitionShare | undefined;
}

/** The harts, frames and VMM-owned pages of one OS instance. */
export class Partition {
  readonly space: LogicalAddressSpace;
  /** Hart blocks by hart id, also of harts that it does not have now: those are the last. */
  readonly blocks: readonly number[];
  onMessage: (message: HartMessage, hartId: number) => void = () => undefined;

  /** What it is to have of the harts that it shares, and has had; undefined: its harts are its own. */
  readonly share: PartitionShare | undefined;

  private readonly machine: Machine;
  private readonly harts: readonly LogicalHart[];
  private readonly supply: HartSupply;
  readonly #runs: [first: number, count: number][] = [];
  readonly #standing: Standing = standing();
  readonly #words: AtomicWords;
  #whenStopped: (() => void)[] = [];
  #released = false;
  #holds = 0;
  /** It was released, and its harts stand still, but somebody holds it. */
  #toGiveBack = false;
  /** What a hart that is given later is told, as those were that were there from the start. */
  #pages: BoardPages | undefined;
  /** A hart that is being taken. */
  #taking: (() => void) | undefined;

  /** Throws ComputerError `no-frames`, having taken nothing. */
  constructor(
    { machine, harts, supply, share }: PartitionParts,
    pages: number,
    guaranteed: number,
    private readonly onRelease: () => void,
  ) {
    this.machine = machine;
    this.harts = harts;
    this.supply = supply;
    this.share = share;
    this.blocks = harts.map(({ block }) => block);
    this.#words = new AtomicWords(machine.memory.words);
    this.space = new LogicalAddressSpace(machine.memory, pages, guaranteed, {
      forget: () => this.forget(),
      refilled: () => {
        if (mayMove(this.#standing)) this.#all(SIGNAL);
      },
      starved: () => this.onMessage({ type: 'out-of-frames' }, 0),
      tookOthers: () => machine.framesTaken(),
    });
    harts.forEach(({ block, thread }, id) => {
      machine.memory.bytes.fill(0, block, block + S.HART_STATE_SIZE);
      this.#reset(block, id, thread === undefined ? S.HSM_ABSENT : S.HSM_STOPPED);
    });
  }

  /** Harts that it has now: the first of its blocks. */
  get given(): number {
    return S.hartsThere(this.machine.memory.words, this.blocks);
  }

  /** Names all frames that it has. */
  eachFrame(name: (frame: number) => void): void {
    this.space.eachFrame(name);
    for (const [first, count] of this.#runs) for (let frame = first; frame < first + count; frame++) name(frame);
  }

  /** Byte offset of `bytes` of cleared machine memory that no guest can reach; given back with the partition. */
  allocate(bytes: number): number {
    const count = Math.ceil(bytes / FRAME_SIZE);
    const first = this.machine.memory.frames.allocateRun(count);
    this.#runs.push([first, count]);
    return first * FRAME_SIZE;
  }

  /**
   * Lets the harts run: hart 0 from `entry`, with `opaque` in a1; the others wait for hart_start. While somebody holds
   * the partition paused they stand still from the beginning.
   * Throws ComputerError `released` if they have run before or the partition has been stopped or released, or what the
   * platform throws for want of threads: then it is to be released.
   */
  start(entry: number, opaque: number, pages: BoardPages): void {
    const { machine, blocks } = this;
    const { words, view } = machine.memory;
    if (!start(this.#standing)) throw new ComputerError('released', 'the harts of a partition start once');
    this.#pages = pages;
    view.setBigUint64(blocks[0] + S.HSM_START, BigInt(entry), true);
    view.setBigUint64(blocks[0] + S.HSM_OPAQUE, BigInt(opaque), true);
    Atomics.store(words, (blocks[0] + S.HSM) >>> 2, S.HSM_START_PENDING);
    this.harts.forEach(({ thread }, hartId) => {
      if (thread !== undefined) this.#assign(hartId, thread, pages);
    });
  }

  #assign(hartId: number, thread: HartThread, pages: BoardPages): void {
    const { machine, blocks } = this;
    take(toBegin(this.#standing.holds > 0), this.#words, blocks[hartId]);
    try {
      thread.assign(
        {
          memory: machine.memory.memory,
          core: machine.core,
          engine: machine.engine,
          profile: machine.profile,
          harts: blocks,
          hartId,
          epoch: machine.clock.epoch,
          zeros: machine.memory.zeros,
          seatTable: this.supply.seatTable,
          ...pages,
        },
        (message) => this.#receive(hartId, message),
      );
    } catch (error) {
      take(GIVE_UP, this.#words, blocks[hartId]);
      throw error;
    }
    this.#standing.running++;
  }

  /**
   * Gives it the next of the harts that it may have, stopped: from now on it is there for the guest, which may start it.
   * Answers its id. Throws ComputerError `no-hart` if it has all, or the computer has none left, or while one is being
   * taken, `released` if the partition is ending, or what starting a thread throws; effect then: none.
   */
  giveHart(): number {
    const id = this.given;
    const hart = this.harts.at(id);
    if (hart === undefined) throw new ComputerError('no-hart', `an instance for ${id} harts has ${id}`);
    const { phase } = this.#standing;
    if (this.#released || phase === 'stopping' || phase === 'ended') {
      throw new ComputerError('released', 'the partition has been stopped');
    }
    // Its thread has not done with it: it would be the same hart.
    if (this.#taking !== undefined) throw new ComputerError('no-hart', `hart ${id} is just being taken`);
    const thread = this.supply.take(hart.block);
    try {
      this.#reset(hart.block, id, S.HSM_ABSENT);
      if (this.#pages !== undefined) this.#assign(id, thread, this.#pages);
    } catch (error) {
      this.supply.giveBack(hart.block, thread);
      throw error;
    }
    hart.thread = thread;
    this.#offer(id);
    return id;
  }

  /** The hart has its thread: from here on the guest has it. */
  #offer(id: number): void {
    Atomics.store(this.machine.memory.words, (this.blocks[id] + S.HSM) >>> 2, S.HSM_STOPPED);
  }

  /**
   * Takes back its last hart, if the guest has stopped it; resolves when the computer has it. False: the guest uses it,
   * or it is the only one, or another is being taken; effect then: none.
   */
  async takeHart(): Promise<boolean> {
    const id = this.given - 1;
    if (id < 1 || this.#taking !== undefined) return false;
    const { words } = this.machine.memory;
    const hsm = (this.blocks[id] + S.HSM) >>> 2;
    if (Atomics.compareExchange(words, hsm, S.HSM_STOPPED, S.HSM_ABSENT) !== S.HSM_STOPPED) return false;
    if (mayMove(this.#standing)) {
      const taken = new Promise<void>((resolve) => (this.#taking = resolve));
      take(ASK_STOP, this.#words, this.blocks[id]);
      await taken;
    } else this.#taken(id);
    return true;
  }

  /** Whether its kernel does not run on a hart that it has. */
  hasStopped(id: number): boolean {
    return Atomics.load(this.machine.memory.words, (this.blocks[id] + S.HSM) >>> 2) === S.HSM_STOPPED;
  }

  #taken(id: number): void {
    const { thread } = this.harts[id];
    this.harts[id].thread = undefined;
    if (thread !== undefined) this.supply.giveBack(this.blocks[id], thread);
    this.#taking?.();
    this.#taking = undefined;
  }

  /**
   * Makes all harts stand still; resolves when they do, with the function that lets them go again. They go on when
   * everybody who holds them has called his; a second call of it does nothing. While they stand still the VMM may change
   * anything; translations are forgotten at the end. Harts that have ended, or not begun, stand still already.
   *
   * Throws ComputerError `hart-failed` if a hart does not answer within ten seconds; the others go on then.
   */
  async pause(): Promise<() => void> {
    if (hold(this.#standing)) this.#all(ASK_PAUSE);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      if (letGo(this.#standing)) this.#all(LET_GO);
    };
    // Whoever stops several partitions has asked all of them before it looks.
    await Promise.resolve();
    const begin = performance.now();
    while (!this.#standStill()) {
      const waited = performance.now() - begin;
      if (waited > PAUSE_LIMIT) {
        release();
        throw new ComputerError('hart-failed', 'a hart does not stand still');
      }
      if (waited > SPIN) await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
    return release;
  }

  /** Resolves when no hart uses a translation that it has looked up before. The harts go on meanwhile. */
  async forget(): Promise<void> {
    const words = this.#words;
    if (!mayMove(this.#standing)) return;
    const waiting = this.blocks.map((block) => {
      const ticket = askToForget(words, block);
      take(SIGNAL, words, block);
      return { block, ticket };
    });
    const begin = performance.now();
    const missing = (): boolean =>
      waiting.some(({ block, ticket }) => !hasCounted(words, block, ticket) && !standsStill(words, block));
    while (mayMove(this.#standing) && missing()) {
      if (performance.now() - begin > FORGET_SPIN) await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Somebody wants the harts to stand still. */
  get paused(): boolean {
    return this.#standing.holds > 0;
  }

  /** Stops all harts for good. A thread that does not answer within half a minute is ended. */
  async stop(): Promise<void> {
    if (stop(this.#standing)) this.#all(ASK_STOP);
    if (this.#standing.running === 0) return;
    const stopped = new Promise<void>((resolve) => this.#whenStopped.push(resolve));
    const limit = setTimeout(() => {
      for (const { thread } of this.harts) void thread?.terminate();
    }, STOP_LIMIT);
    await stopped;
    clearTimeout(limit);
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
    for (const [first, count] of this.#runs.splice(0)) this.machine.memory.frames.releaseRun(first, count);
    this.onRelease();
  }

  /** What a hart's thread says. */
  #receive(hartId: number, message: HartMessage): void {
    if (message.type === 'failed') {
      take(GIVE_UP, this.#words, this.blocks[hartId]);
      this.supply.lost(this.blocks[hartId]);
    }
    this.onMessage(message, hartId);
    const over = message.type === 'failed' || message.type === 'stopped';
    if (over && this.#isBeingTaken(hartId)) this.#taken(hartId);
    if (over && gone(this.#standing)) for (const resolve of this.#whenStopped.splice(0)) resolve();
  }

  #isBeingTaken(hartId: number): boolean {
    return Atomics.load(this.machine.memory.words, (this.blocks[hartId] + S.HSM) >>> 2) === S.HSM_ABSENT;
  }

  #all(steps: readonly Step[]): void {
    for (const block of this.blocks) take(steps, this.#words, block);
  }

  #standStill(): boolean {
    return !mayMove(this.#standing) || this.blocks.every((block) => standsStill(this.#words, block));
  }

  /**
   * A hart as it comes out of reset. Others may be counting shoot-downs of it, or look whether it is there: of these words
   * none is touched, but that `hsm` is said last.
   */
  #reset(block: number, id: number, hsm: number): void {
    const { memory } = this.machine;
    const { words, view, bytes } = memory;
    bytes.fill(0, block, block + S.SIP);
    Atomics.store(words, (block + S.SIP) >>> 2, 0);
    bytes.fill(0, block + S.PRIVILEGE, block + S.HSM);
    bytes.fill(0, block + S.HSM_START, block + S.HART_STATE_SIZE);
    bytes.fill(0xff, block + TLB_START, block + TLB_START + MODES * TLB_SIZE + 2 * FETCH_TLB_SIZE);
    // Code of the OS instance that had the hart before must not be taken for this one's.
    bytes.fill(0, block + PREDECODE_DIRECTORY, block + PREDECODED);
    bytes.fill(0xff, block + JUMP_CACHE, block + JUMP_CACHE + JUMP_CACHE_SIZE);
    view.setBigInt64(block + S.STIMECMP, -1n, true);
    // As firmware leaves it: 6.12 without a performance monitor relies on it for rdtime in user mode.
    view.setBigInt64(block + S.SCOUNTEREN, 7n, true);
    view.setBigUint64(block + S.RAM_BASE, BigInt(RAM_START), true);
    words[(block + S.RAM_PAGES) >>> 2] = this.space.pages;
    words[(block + S.PAGE_MAP) >>> 2] = this.space.pageMap;
    words[(block + S.RESERVE) >>> 2] = this.space.reserve;
    words[(block + S.FRAME_WORDS) >>> 2] = memory.frameWords;
    words[(block + S.HART_ID) >>> 2] = id;
    words[(block + S.RESERVATION) >>> 2] = -1;
    words[(block + S.TLB_BASE) >>> 2] = TLB_START;
    Atomics.store(words, (block + S.HSM) >>> 2, hsm);
  }
}
