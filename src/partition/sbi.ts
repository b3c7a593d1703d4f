/**
 * The Supervisor Binary Interface, version 2.0: base, time, IPI, remote fences, hart
 * state management, system reset, debug console. Called on the calling hart's thread.
 *
 * Function numbers and extension ids are compared whole, as they lie in their registers. Parameters that the
 * specification declares 32 or 8 bits wide count as far as that.
 */
import { AtomicWords, OFFER_START, take } from '../computer/handshake.js';
import type { HartRunner } from '../computer/hart-runner.js';
import * as S from '../hart/state.js';

/** Extension ids are their names in ASCII. */
const BASE = 0x10;
const TIME = 0x54494d45;
const IPI = 0x735049;
const RFENCE = 0x52464e43;
const HSM = 0x48534d;
const SRST = 0x53525354;
const DBCN = 0x4442434e;

const SUCCESS = 0;
const NOT_SUPPORTED = -2;
const INVALID_PARAM = -3;
const INVALID_ADDRESS = -5;
const ALREADY_AVAILABLE = -6;

const A0 = 10;
const A1 = 11;
const A2 = 12;
const A3 = 13;

// System reset (SBI 2.0, 10.1). What is not here is reserved, or somebody's own and not implemented.
const COLD_REBOOT = 1;
const WARM_REBOOT = 2;
const SHUTDOWN = 0;
const NO_REASON = 0;
const SYSTEM_FAILURE = 1;

/** What the SBI needs of its surroundings. */
export interface SbiHost {
  /** Hart blocks of the OS instance, by hart id; also of harts that it may have some day (`hartsThere`). */
  readonly harts: readonly number[];
  readonly hartId: number;
  /** Byte offset of a guest-physical address that is memory of the instance (and may be written, with `write`), or -1. */
  offsetOf(address: number, write?: boolean): number;
  /** Whether a guest-physical address is memory that may be written; it needs no frame for that. */
  mayWrite(address: number): boolean;
  readonly bytes: Uint8Array;
  /** Takes text as far as there is room; how many bytes. */
  debugConsole(text: Uint8Array): number;
  /** The debug console has no room for a single byte now. */
  debugConsoleFull(): boolean;
  /** The guest asked to shut down or reboot. */
  reset(kind: ResetKind): void;
}

/** What a guest asked for when it ended itself (SBI system reset). */
export type ResetKind = 'shutdown' | 'reboot' | 'failure';

/** Longest text of one debug console call that is looked at. */
const MAX_CONSOLE_WRITE = 4096;

export class Sbi {
  readonly #shared: AtomicWords;

  constructor(
    private readonly hart: HartRunner,
    private readonly host: SbiHost,
  ) {
    this.#shared = new AtomicWords(hart.words);
  }

  /** Answers the call in a7 (extension), a6 (function), a0 … a5. */
  call(): void {
    const { hart } = this;
    const extension = hart.x(17);
    const fn = hart.x(16);
    let value = 0;
    let error = NOT_SUPPORTED;
    switch (extension) {
      case BASE:
        [error, value] = this.#base(fn);
        break;
      case TIME:
        if (fn === 0) error = this.#setTimer();
        break;
      case IPI:
        if (fn === 0) error = this.#sendIpi();
        break;
      case RFENCE:
        if (fn <= 2) error = this.#remoteFence(fn);
        break;
      case HSM:
        [error, value] = this.#hsm(fn);
        // A hart that has stopped itself does not return.
        if (fn === 1 && error === SUCCESS) return;
        break;
      case SRST:
        if (fn === 0) error = this.#reset();
        break;
      case DBCN: {
        const answer = this.#debugConsole(fn);
        if (answer === 'again') {
          hart.pc -= 4n;
          return;
        }
        [error, value] = answer;
        break;
      }
    }
    hart.setX(A0, error);
    hart.setX(A1, value);
  }

  #base(fn: number): [number, number] {
    const { hart } = this;
    switch (fn) {
      case 0: // specification version: 2.0
        return [SUCCESS, 2 << 24];
      case 1: // implementation id: none assigned, so one no other has
        return [SUCCESS, 0x5553];
      case 2: // implementation version
        return [SUCCESS, 1];
      case 3: {
        const known = [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN].includes(hart.x(A0));
        return [SUCCESS, known ? 1 : 0];
      }
      case 4: // mvendorid, marchid, mimpid
      case 5:
      case 6:
        return [SUCCESS, 0];
      default:
        return [NOT_SUPPORTED, 0];
    }
  }

  #setTimer(): number {
    const { words, h } = this.hart;
    words[(h + S.STIMECMP) >>> 2] = words[(h + S.X + 8 * A0) >>> 2];
    words[(h + S.STIMECMP + 4) >>> 2] = words[(h + S.X + 8 * A0 + 4) >>> 2];
    this.hart.timerChanged();
    return SUCCESS;
  }

  /** The low half of a register. */
  #low(register: number): number {
    return this.hart.words[(this.hart.h + S.X + 8 * register) >>> 2] >>> 0;
  }

  /** Whether a register holds -1. */
  #isAllOnes(register: number): boolean {
    const at = (this.hart.h + S.X + 8 * register) >>> 2;
    return (this.hart.words[at] & this.hart.words[at + 1]) === -1;
  }

  /** How many harts there are for the guest. */
  #there(): number {
    return S.hartsThere(this.hart.words, this.host.harts);
  }

  /** Blocks of the harts that the mask in a0 and the base in a1 name (3.1), or undefined if one does not exist. */
  #named(): number[] | undefined {
    const harts = this.host.harts.slice(0, this.#there());
    // With this base the mask does not count.
    if (this.#isAllOnes(A1)) return harts;
    const base = this.hart.x(A1);
    if (base >= harts.length) return undefined;
    const at = (this.hart.h + S.X + 8 * A0) >>> 2;
    const named: number[] = [];
    for (let bit = 0; bit < 64; bit++) {
      if (((this.hart.words[at + (bit >> 5)] >>> (bit & 31)) & 1) === 0) continue;
      if (base + bit >= harts.length) return undefined;
      named.push(harts[base + bit]);
    }
    return named;
  }

  #sendIpi(): number {
    const named = this.#named();
    if (named === undefined) return INVALID_PARAM;
    for (const h of named) S.setPending(this.hart.words, h, S.SSIP, true);
    return SUCCESS;
  }

  /** fence.i, sfence.vma and sfence.vma with ASID: each forgets everything, ranges included. */
  #remoteFence(fn: number): number {
    const named = this.#named();
    if (named === undefined) return INVALID_PARAM;
    if (fn > 0 && !this.#validRange()) return INVALID_ADDRESS;
    this.hart.shootDown(named.filter((h) => h !== this.hart.h));
    if (named.includes(this.hart.h)) this.hart.flush();
    return SUCCESS;
  }

  /** Whether a2 and a3, a start and a size, are a range of addresses (8): one that goes beyond the last address is not. */
  #validRange(): boolean {
    // All of the address space, wherever it starts.
    if (this.#isAllOnes(A3)) return true;
    const { words, h } = this.hart;
    const [start, size] = [(h + S.X + 8 * A2) >>> 2, (h + S.X + 8 * A3) >>> 2];
    // In two halves: a number is not exact beyond 2^53. A range may end at the end of all addresses.
    const low = (words[start] >>> 0) + (words[size] >>> 0);
    const high = (words[start + 1] >>> 0) + (words[size + 1] >>> 0) + Math.floor(low / 2 ** 32);
    return high < 2 ** 32 || (high === 2 ** 32 && low % 2 ** 32 === 0);
  }

  #hsm(fn: number): [number, number] {
    const { hart, host } = this;
    const { words } = hart;
    switch (fn) {
      case 0:
        return [this.#hartStart(), 0];
      case 1:
        Atomics.store(words, (hart.h + S.HSM) >>> 2, S.HSM_STOPPED);
        return [SUCCESS, 0];
      case 2: {
        const id = hart.x(A0);
        if (id >= this.#there()) return [INVALID_PARAM, 0];
        const state = Atomics.load(words, (host.harts[id] + S.HSM) >>> 2);
        return [SUCCESS, state === S.HSM_CLAIMED ? S.HSM_START_PENDING : state];
      }
      default:
        return [NOT_SUPPORTED, 0];
    }
  }

  /** Of several who start one hart at once, one gets SUCCESS; for the others it is started already (9.1). */
  #hartStart(): number {
    const { hart, host } = this;
    const { words } = hart;
    const id = hart.x(A0);
    if (id >= this.#there()) return INVALID_PARAM;
    const h = host.harts[id];
    const hsm = (h + S.HSM) >>> 2;
    if (Atomics.load(words, hsm) !== S.HSM_STOPPED) return ALREADY_AVAILABLE;
    // Where there is no memory, or no instruction can begin, none can be executed.
    const address = hart.x(A1);
    if (address % 2 !== 0 || host.offsetOf(address) < 0) return INVALID_ADDRESS;
    if (Atomics.compareExchange(words, hsm, S.HSM_STOPPED, S.HSM_CLAIMED) !== S.HSM_STOPPED) return ALREADY_AVAILABLE;
    // Nobody but this hart writes these now; the other reads them when it sees START_PENDING.
    for (const [from, to] of [
      [A1, S.HSM_START],
      [A2, S.HSM_OPAQUE],
    ]) {
      words[(h + to) >>> 2] = words[(hart.h + S.X + 8 * from) >>> 2];
      words[(h + to + 4) >>> 2] = words[(hart.h + S.X + 8 * from + 4) >>> 2];
    }
    take(OFFER_START, this.#shared, h);
    return SUCCESS;
  }

  /** Type and reason are 32 bits wide. */
  #reset(): number {
    const type = this.#low(A0);
    const reason = this.#low(A1);
    if (reason !== NO_REASON && reason !== SYSTEM_FAILURE) return INVALID_PARAM;
    switch (type) {
      case SHUTDOWN:
        this.host.reset(reason === SYSTEM_FAILURE ? 'failure' : 'shutdown');
        return SUCCESS;
      case COLD_REBOOT:
      case WARM_REBOOT:
        this.host.reset('reboot');
        return SUCCESS;
      default:
        return INVALID_PARAM;
    }
  }

  /**
   * Whether all of a0 bytes at the physical address in a1 (low) and a2 (high) are memory that may be accessed so (3.2).
   * The instance's memory is one range, so its ends tell; what is copied is looked at page by page.
   */
  #validMemory(write: boolean): boolean {
    const { hart, host } = this;
    const length = hart.x(A0);
    if (length === 0) return true;
    const address = hart.x(A1);
    if (hart.x(A2) !== 0 || address + length > Number.MAX_SAFE_INTEGER) return false;
    const isValid = (at: number): boolean => (write ? host.mayWrite(at) : host.offsetOf(at) >= 0);
    return isValid(address) && isValid(address + length - 1);
  }

  /** How much was taken; a caller who could write nothing sleeps until there is room, for it would only try again. */
  #print(text: Uint8Array): number {
    const { hart, host } = this;
    const count = host.debugConsole(text);
    if (count === 0 && text.length > 0) hart.nap(() => host.debugConsoleFull());
    return count;
  }

  #debugConsole(fn: number): [number, number] | 'again' {
    const { hart, host } = this;
    switch (fn) {
      case 0: {
        if (!this.#validMemory(false)) return [INVALID_PARAM, 0];
        const length = Math.min(hart.x(A0), MAX_CONSOLE_WRITE);
        const address = hart.x(A1);
        const text = new Uint8Array(length);
        for (let i = 0; i < length; i++) {
          const offset = host.offsetOf(address + i);
          if (offset < 0) return [INVALID_PARAM, 0];
          text[i] = host.bytes[offset];
        }
        return [SUCCESS, this.#print(text)];
      }
      case 1:
        // There is never anything to read.
        return [this.#validMemory(true) ? SUCCESS : INVALID_PARAM, 0];
      case 2:
        // "Only returns after writing the byte" (12.3): while there is no room, the call is made again.
        if (this.#print(Uint8Array.of(this.#low(A0) & 0xff)) === 0) return 'again';
        return [SUCCESS, 0];
      default:
        return [NOT_SUPPORTED, 0];
    }
  }
}
