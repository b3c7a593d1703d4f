/**
 * The Supervisor Binary Interface, version 2.0: base, time, IPI, remote fences, hart
 * state management, system reset, debug console. Called on the calling hart's thread.
 */
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
const ALREADY_AVAILABLE = -6;

const A0 = 10;
const A1 = 11;
const ALL_HARTS = 2 ** 64;

/** What the SBI needs of its surroundings. */
export interface SbiHost {
  /** Hart blocks of the OS instance, by hart id. */
  readonly harts: readonly number[];
  readonly hartId: number;
  /** Byte offset of a guest-physical address, or -1. */
  offsetOf(address: number): number;
  readonly bytes: Uint8Array;
  /** Takes text as far as there is room; how many bytes. */
  debugConsole(text: Uint8Array): number;
  /** The debug console has no room for a single byte now. */
  debugConsoleFull(): boolean;
  /** The guest asked to shut down or reboot. */
  reset(kind: ResetKind): void;
}

export type ResetKind = 'shutdown' | 'reboot' | 'failure';

/** Longest text of one debug console call that is looked at. */
const MAX_CONSOLE_WRITE = 4096;

export class Sbi {
  constructor(
    private readonly hart: HartRunner,
    private readonly host: SbiHost,
  ) {}

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
        if (fn <= 2) error = this.#remoteFence();
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

  /** Blocks of the harts that (mask, base) names (3.1), or undefined if one does not exist. */
  #named(maskRegister: number, base: number): number[] | undefined {
    const { harts } = this.host;
    if (base >= ALL_HARTS - 1) return [...harts];
    const at = (this.hart.h + S.X + 8 * maskRegister) >>> 2;
    const named: number[] = [];
    for (let bit = 0; bit < 64; bit++) {
      if (((this.hart.words[at + (bit >> 5)] >>> (bit & 31)) & 1) === 0) continue;
      const h = harts.at(base + bit);
      if (base + bit >= harts.length || h === undefined) return undefined;
      named.push(h);
    }
    return named;
  }

  #sendIpi(): number {
    const named = this.#named(A0, this.hart.x(A1));
    if (named === undefined) return INVALID_PARAM;
    for (const h of named) S.setPending(this.hart.words, h, S.SSIP, true);
    return SUCCESS;
  }

  /** fence.i, sfence.vma and sfence.vma with ASID: each forgets everything, ranges included. */
  #remoteFence(): number {
    const named = this.#named(A0, this.hart.x(A1));
    if (named === undefined) return INVALID_PARAM;
    this.hart.shootDown(named.filter((h) => h !== this.hart.h));
    if (named.includes(this.hart.h)) this.hart.flush();
    return SUCCESS;
  }

  #hsm(fn: number): [number, number] {
    const { hart, host } = this;
    const { words } = hart;
    const h = host.harts.at(hart.x(A0));
    switch (fn) {
      case 0: {
        if (h === undefined || hart.x(A0) >= host.harts.length) return [INVALID_PARAM, 0];
        const at = (h + S.HSM) >>> 2;
        if (Atomics.compareExchange(words, at, S.HSM_STOPPED, S.HSM_START_PENDING) !== S.HSM_STOPPED) {
          return [ALREADY_AVAILABLE, 0];
        }
        for (const [from, to] of [
          [11, S.HSM_START],
          [12, S.HSM_OPAQUE],
        ]) {
          words[(h + to) >>> 2] = words[(hart.h + S.X + 8 * from) >>> 2];
          words[(h + to + 4) >>> 2] = words[(hart.h + S.X + 8 * from + 4) >>> 2];
        }
        S.signal(words, h);
        return [SUCCESS, 0];
      }
      case 1:
        Atomics.store(words, (hart.h + S.HSM) >>> 2, S.HSM_STOPPED);
        return [SUCCESS, 0];
      case 2:
        if (h === undefined || hart.x(A0) >= host.harts.length) return [INVALID_PARAM, 0];
        return [SUCCESS, Atomics.load(words, (h + S.HSM) >>> 2)];
      default:
        return [NOT_SUPPORTED, 0];
    }
  }

  #reset(): number {
    const type = this.hart.x(A0);
    if (type > 2) return INVALID_PARAM;
    const failed = this.hart.x(A1) === 1;
    this.host.reset(type === 0 ? (failed ? 'failure' : 'shutdown') : 'reboot');
    return SUCCESS;
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
        return [SUCCESS, 0];
      case 2:
        // "Only returns after writing the byte" (12.3): while there is no room, the call is made again.
        if (this.#print(Uint8Array.of(hart.x(A0) & 0xff)) === 0) return 'again';
        return [SUCCESS, 0];
      default:
        return [NOT_SUPPORTED, 0];
    }
  }
}
