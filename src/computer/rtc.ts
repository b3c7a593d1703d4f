/**
 * A real-time clock as Linux's rtc-goldfish driver and QEMU's virt machine know it: the
 * host's wall clock in nanoseconds since 1970, and an alarm. Register names are the driver's.
 *
 * The state page; numbers of 64 bits have their low word first:
 *
 *   0x000  lock
 *   0x004  1: there is an alarm for the main thread to look at
 *   0x008  nanoseconds that the guest's clock is ahead of the host's       64 bits, signed
 *   0x010  TIME_HIGH     as TIME_LOW was last read, or for the next write of TIME_LOW
 *   0x014  ALARM_HIGH    for the next write of ALARM_LOW
 *   0x018  alarm         in nanoseconds, by the guest's clock              64 bits
 *   0x020  ALARM_STATUS  1: the alarm is waited for
 *   0x024  IRQ_ENABLED   0x028  1: the alarm has come, its interrupt has not been cleared
 */
import { wallClock } from './clock.js';
import type { InterruptLine, MmioRegion } from './dma.js';
import { lock, unlock } from './state-page.js';

/** Where QEMU's virt machine has it, and its interrupt source. */
export const RTC_BASE = 0x10_1000;
export const RTC_SIZE = 0x1000;
export const RTC_INTERRUPT = 11;

const TIME_LOW = 0x00;
const TIME_HIGH = 0x04;
const ALARM_LOW = 0x08;
const ALARM_HIGH = 0x0c;
const IRQ_ENABLED = 0x10;
const CLEAR_ALARM = 0x14;
const ALARM_STATUS = 0x18;
const CLEAR_INTERRUPT = 0x1c;

const LOCK = 0x000;
const KICKED = 0x004;
const AHEAD = 0x008;
const HIGH = 0x010;
const NEXT_ALARM_HIGH = 0x014;
const ALARM = 0x018;
const WAITING = 0x020;
const ENABLED = 0x024;
const PENDING = 0x028;

const NANOSECONDS = 1_000_000n;
/** The host's clock may be set while an alarm is waited for: it is looked at again at least this often (ms). */
const LOOK_AGAIN = 60_000;

/** The registers, on any thread; all state is in the state page. */
export class RtcRegisters implements MmioRegion {
  readonly base = RTC_BASE;
  readonly size = RTC_SIZE;
  readonly #words: Int32Array;
  readonly #page: number;
  readonly #view: DataView;
  readonly #line: InterruptLine;
  readonly #doorbell: () => void;

  constructor(buffer: SharedArrayBuffer, stateOffset: number, line: InterruptLine, doorbell: () => void) {
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
    this.#view = new DataView(buffer, stateOffset);
    this.#line = line;
    this.#doorbell = doorbell;
  }

  read(offset: number): number {
    return this.#locked(() => {
      switch (offset) {
        case TIME_LOW: {
          const now = this.now();
          this.#store(HIGH, Number(BigInt.asIntN(32, now >> 32n)));
          return Number(BigInt.asUintN(32, now));
        }
        case TIME_HIGH:
          return this.#load(HIGH) >>> 0;
        case ALARM_LOW:
          return this.#load(ALARM) >>> 0;
        case ALARM_HIGH:
          return this.#load(ALARM + 4) >>> 0;
        case IRQ_ENABLED:
          return this.#load(ENABLED);
        case ALARM_STATUS:
          return this.#load(WAITING);
        default:
          return 0;
      }
    });
  }

  write(offset: number, _size: number, value: number): void {
    const ring = this.#locked(() => {
      switch (offset) {
        case TIME_HIGH:
          this.#store(HIGH, value);
          break;
        case TIME_LOW: {
          const time = (BigInt(this.#load(HIGH) >>> 0) << 32n) | BigInt(value >>> 0);
          this.#view.setBigInt64(AHEAD, time - BigInt(wallClock()) * NANOSECONDS, true);
          // By a clock that was set, the alarm is due at another moment.
          return this.#kick();
        }
        case ALARM_HIGH:
          this.#store(NEXT_ALARM_HIGH, value);
          break;
        case ALARM_LOW:
          this.#store(ALARM, value);
          this.#store(ALARM + 4, this.#load(NEXT_ALARM_HIGH));
          this.#store(WAITING, 1);
          this.expire();
          return this.#kick();
        case IRQ_ENABLED:
          this.#store(ENABLED, value & 1);
          break;
        case CLEAR_ALARM:
          this.#store(WAITING, 0);
          break;
        case CLEAR_INTERRUPT:
          this.#store(PENDING, 0);
          break;
      }
      this.#updateLine();
      return false;
    });
    if (ring) this.#doorbell();
  }

  /** Under the lock, if not for a glance: nanoseconds since 1970 by the guest's clock. */
  now(): bigint {
    return BigInt.asUintN(64, BigInt(wallClock()) * NANOSECONDS + this.#view.getBigInt64(AHEAD, true));
  }

  /** Under the lock: an alarm whose time has come rings. How long until then in milliseconds, Infinity if none is waited for. */
  expire(): number {
    if (this.#load(WAITING) === 0) return Infinity;
    const left = this.#view.getBigUint64(ALARM, true) - this.now();
    if (left > 0n) return Number(left / NANOSECONDS) + 1;
    this.#store(WAITING, 0);
    this.#store(PENDING, 1);
    this.#updateLine();
    return Infinity;
  }

  #updateLine(): void {
    this.#line.set(this.#load(PENDING) !== 0 && this.#load(ENABLED) !== 0);
  }

  #kick(): boolean {
    return this.#load(WAITING) !== 0 && Atomics.exchange(this.#words, this.#page + (KICKED >>> 2), 1) === 0;
  }
  #locked<T>(work: () => T): T {
    lock(this.#words, this.#page + (LOCK >>> 2));
    try {
      return work();
    } finally {
      unlock(this.#words, this.#page + (LOCK >>> 2));
    }
  }
  #load(at: number): number {
    return Atomics.load(this.#words, this.#page + (at >>> 2));
  }
  #store(at: number, value: number): void {
    Atomics.store(this.#words, this.#page + (at >>> 2), value);
  }
}

/** The main thread's side: has the alarm ring when its time comes. */
export class RtcAlarm {
  readonly #words: Int32Array;
  readonly #page: number;
  readonly #registers: RtcRegisters;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #detached = false;

  /** `failed` is told of what was thrown here: the alarm is not touched any more then. */
  constructor(
    buffer: SharedArrayBuffer,
    stateOffset: number,
    line: InterruptLine,
    private readonly failed = (error: unknown): void => {
      throw error;
    },
  ) {
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
    this.#registers = new RtcRegisters(buffer, stateOffset, line, () => undefined);
  }

  /** The guest is gone, and its memory with it. */
  detach(): void {
    this.#detached = true;
    clearTimeout(this.#timer);
  }

  /** To be called after a doorbell. */
  poll(): void {
    if (this.#detached || Atomics.exchange(this.#words, this.#page + (KICKED >>> 2), 0) === 0) return;
    this.#look();
  }

  #look(): void {
    clearTimeout(this.#timer);
    if (this.#detached) return;
    let left: number;
    try {
      lock(this.#words, this.#page + (LOCK >>> 2));
      left = this.#registers.expire();
      unlock(this.#words, this.#page + (LOCK >>> 2));
    } catch (error) {
      this.detach();
      this.failed(error);
      return;
    }
    if (left !== Infinity) this.#timer = setTimeout(() => this.#look(), Math.min(left, LOOK_AGAIN));
  }
}
