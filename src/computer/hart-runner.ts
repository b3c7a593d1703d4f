/**
 * The loop of a hart's thread: runs the core, and does between its turns what takes
 * a host: the clock, idling, requests of the VMM, shoot-downs, and calls to the SBI
 * and the hands.
 */
import type { Core } from '../hart/core/index.js';
import type { Engine, EngineHost } from '../hart/engine.js';
import { CAUSE_ILLEGAL } from '../hart/isa/causes.js';
import type { SlotDecoder } from '../hart/slot-decoder.js';
import { EXIT_HANDS, EXIT_SBI, EXIT_SIGNAL, EXIT_WFI } from '../hart/exits.js';
import * as S from '../hart/state.js';
import type { Clock } from './clock.js';
import { ATTEND, FORGET, hartSide, idle, OVER, RESUMED, START, step, TURN, type HartSide } from './handshake.js';
import { CountingWords } from './hart-time.js';
import { sample, type HartProfile } from './hart-profile.js';
import type { MmioBus } from './mmio-bus.js';
import { sharedStep, sitter, type Seats, type Sitter } from './shared-hart.js';
import { shootDown, shootDownStep } from './shoot-down.js';

/** Instructions between looks at the clock: well under the 4 ms of a Linux tick even when interpreted. */
const BUDGET = 30_000;
/** A hart whose driver would spin looks this often (ms) what else its guest may want of it. */
const NAP = 10;

export interface HartHooks {
  /** ecall from supervisor mode; the runner has already moved pc past it. */
  sbi(): void;
  /** The ring instruction, pc at it. False: illegal. */
  ring(): boolean;
}

export class HartRunner {
  readonly words: Int32Array;
  /** Byte offset of this hart's block. */
  readonly h: number;
  readonly #view: DataView;
  readonly #siblings: readonly number[];
  readonly #clock: Clock;
  readonly #shared: CountingWords;
  readonly #side: HartSide;
  /** None: it has a hart of the computer to itself. */
  readonly #sharing: { readonly sitter: Sitter; readonly seats: Seats } | undefined;
  #engine!: Engine;
  #profile: HartProfile | undefined;
  #core!: Core;
  #hooks!: HartHooks;
  /** When the timer interrupt is due, in ticks. */
  #deadline = Infinity;
  /** While this says so the driver on this hart would only spin. */
  #nap: (() => boolean) | undefined;
  /** It has slept for that, and is to run for a moment now. */
  #napped = false;

  /**
   * `siblings`: blocks of the other harts of the OS instance; `seats`: of those who share harts of the computer, if this
   * one does.
   */
  constructor(buffer: SharedArrayBuffer, h: number, siblings: readonly number[], clock: Clock, seats?: Seats) {
    this.words = new Int32Array(buffer);
    this.#shared = new CountingWords(this.words, h);
    this.#side = hartSide(h);
    this.#sharing = seats && { sitter: sitter(this.#side), seats };
    this.#view = new DataView(buffer);
    this.h = h;
    this.#siblings = siblings;
    this.#clock = clock;
  }

  /** What the core module needs of this thread. */
  imports(bus: MmioBus, decoder: SlotDecoder, absent: { fill(page: number): number }): EngineHost {
    const { words } = this;
    const valueAt = (this.h + S.EXIT_A) >>> 2;
    return {
      mmioLoad: (_, address, width) => {
        if (this.#profile !== undefined) this.#profile.registerAccesses++;
        if (!bus.load(address, width)) return 1;
        words[valueAt] = bus.low;
        words[valueAt + 1] = bus.high;
        return 0;
      },
      mmioStore: (_, address, width) => {
        if (this.#profile !== undefined) this.#profile.registerAccesses++;
        return bus.store(address, width, words[valueAt], words[valueAt + 1]) ? 0 : 1;
      },
      time: () => this.#clock.ticks(),
      timer: () => this.timerChanged(),
      decode: (slots, host, count) => decoder.decode(slots, host, count),
      decodeStraddle: (slots, low, high) => decoder.decodeStraddle(slots, low, high),
      shootDownWrites: () => this.shootDown(this.#siblings),
      fillPage: (_, page) => absent.fill(page),
    };
  }

  /** Runs until the VMM asks the hart to stop. */
  run(engine: Engine, hooks: HartHooks, profile?: HartProfile): void {
    this.#profile = profile;
    this.#engine = engine;
    this.#core = engine.core;
    this.#hooks = hooks;
    // Nothing of the hart is touched before the first look at what the VMM wants.
    for (;;) {
      switch (this.#step()) {
        case FORGET:
          this.#core.flush(this.h);
          break;
        case RESUMED:
          // What the place held meanwhile is not known.
          Atomics.store(this.words, (this.h + S.RESERVATION) >>> 2, -1);
          this.#core.flush(this.h);
          this.timerChanged();
          break;
        case START:
          this.#start();
          break;
        case TURN:
          this.#turn();
          break;
        case OVER:
          this.#shared.end();
          return;
      }
    }
  }

  #step(): number {
    const sharing = this.#sharing;
    return sharing === undefined
      ? step(this.#side, this.#shared)
      : sharedStep(sharing.sitter, this.#shared, sharing.seats);
  }

  /** Begins where the SBI's hart_start said: supervisor mode, no translation, interrupts off (SBI 2.0, 9.1). */
  #start(): void {
    const { words, h } = this;
    const copy = (to: number, from: number): void => {
      words[(h + to) >>> 2] = words[(h + from) >>> 2];
      words[(h + to + 4) >>> 2] = words[(h + from + 4) >>> 2];
    };
    for (const at of [S.SATP, S.SSTATUS, S.SIE]) this.#view.setBigInt64(h + at, 0n, true);
    this.#view.setBigInt64(h + S.STIMECMP, -1n, true);
    words[(h + S.PRIVILEGE) >>> 2] = 1;
    words[(h + S.RESERVATION) >>> 2] = -1;
    this.setX(10, words[(h + S.HART_ID) >>> 2]);
    copy(S.X + 8 * 11, S.HSM_OPAQUE);
    copy(S.PC, S.HSM_START);
    this.#core.flush(h);
    this.#core.selectMode(h);
    this.timerChanged();
  }

  /**
   * The guest on this hart waits, without sleeping, for something that the main thread will do when it can: the hart
   * sleeps in its stead. Not altogether: it runs for a moment now and then, for a guest that does have other things to do.
   * The hart may be in the middle of an instruction, which goes on first.
   */
  nap(still: () => boolean): void {
    this.#nap = still;
    // The core comes back to the loop.
    Atomics.store(this.words, (this.h + S.SIGNAL) >>> 2, S.SIGNAL_RAISED);
  }

  #turn(): void {
    if (this.#nap !== undefined && !this.#napped) {
      this.#napped = this.#nap();
      if (this.#napped) return this.#sleep(NAP);
      this.#nap = undefined;
    }
    this.#napped = false;
    if (this.#deadline !== Infinity && this.#clock.ticks() >= this.#deadline) this.#raiseTimer();
    this.#engine.settle();
    if (this.#profile !== undefined) return this.#profiledTurn(this.#profile);
    this.#serve(this.#core.run(this.h, BUDGET));
  }

  #profiledTurn(profile: HartProfile): void {
    const start = performance.now();
    const reason = this.#core.run(this.h, BUDGET);
    const ran = performance.now();
    profile.turns++;
    profile.running += ran - start;
    if (reason === EXIT_SIGNAL) {
      sample(profile.samples, this.pc, this.words[(this.h + S.PRIVILEGE) >>> 2] === 0);
    }
    this.#serve(reason);
    const served = performance.now() - ran;
    if (reason === EXIT_WFI) profile.idle += served;
    else profile.serving += served;
    if (reason === EXIT_SBI) profile.sbiCalls++;
    if (reason === EXIT_HANDS) profile.rings++;
  }

  /** Does what the core came back for. */
  #serve(reason: number): void {
    switch (reason) {
      case EXIT_SIGNAL:
        return;
      case EXIT_WFI:
        this.#nap = undefined;
        return this.#idle();
      case EXIT_SBI:
        this.pc += 4n;
        return this.#hooks.sbi();
      case EXIT_HANDS:
        if (!this.#hooks.ring()) this.#core.trap(this.h, this.pc, BigInt(CAUSE_ILLEGAL), 0x0bn);
        return;
    }
  }

  get pc(): bigint {
    return this.#view.getBigInt64(this.h + S.PC, true);
  }
  set pc(value: bigint) {
    this.#view.setBigInt64(this.h + S.PC, value, true);
  }

  /** An integer register as a number; exact up to 2^53. */
  x(register: number): number {
    const at = (this.h + S.X + 8 * register) >>> 2;
    return (this.words[at] >>> 0) + (this.words[at + 1] >>> 0) * 2 ** 32;
  }
  setX(register: number, value: number): void {
    const at = (this.h + S.X + 8 * register) >>> 2;
    this.words[at] = value | 0;
    this.words[at + 1] = Math.floor(value / 2 ** 32) | 0;
  }

  /** stimecmp has been written: the timer interrupt is pending exactly while time >= stimecmp (Sstc). */
  timerChanged(): void {
    const low = this.#view.getUint32(this.h + S.STIMECMP, true);
    const high = this.#view.getUint32(this.h + S.STIMECMP + 4, true);
    // Beyond 2^53 ticks is beyond the life of any computer.
    this.#deadline = high >= 2 ** 21 ? Infinity : low + high * 2 ** 32;
    if (this.#clock.ticks() >= this.#deadline) this.#raiseTimer();
    else Atomics.and(this.words, (this.h + S.SIP) >>> 2, ~S.STIP);
  }

  #raiseTimer(): void {
    Atomics.or(this.words, (this.h + S.SIP) >>> 2, S.STIP);
    this.#deadline = Infinity;
  }

  /** wfi: sleeps until an interrupt is pending that sie lets through, whatever sstatus.SIE says. */
  #idle(): void {
    if ((this.#get(S.SIP) & this.words[(this.h + S.SIE) >>> 2]) !== 0) return;
    const wait = this.#deadline === Infinity ? Infinity : this.#clock.millisecondsUntil(this.#deadline);
    if (wait > 0) this.#sleep(wait);
  }

  #sleep(milliseconds: number): void {
    idle(this.#side, milliseconds);
    // Here and not in the loop, so that a profile counts the sleep as such.
    while (this.#side.at !== ATTEND) this.#step();
  }

  /** Forgets all translations of this hart. */
  flush(): void {
    this.#core.flush(this.h);
  }

  /** Makes other harts forget all their translations; returns when they have, or will have before they go on. */
  shootDown(harts: readonly number[]): void {
    const work = shootDown(this.h, harts);
    for (let effect = 0; effect !== OVER; effect = shootDownStep(work, this.#shared)) {
      if (effect === FORGET) this.#core.flush(this.h);
    }
  }

  #get(at: number): number {
    return Atomics.load(this.words, (this.h + at) >>> 2);
  }
}
