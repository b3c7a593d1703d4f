/**
 * The ARP cache (RFC 826): which MAC address an IPv4 address on the link has. Frames to an address that is not known
 * yet wait, a bounded number of them. There is no timer while nothing waits: old entries are asked for again when used.
 */
import { compact } from './arena.js';
import type { Clock } from './clock.js';
import { crowdedMost } from './crowd.js';

const MAX_ENTRIES = 1024;
const MAX_WAITING = 32;
/** Bytes that may wait for one address; one frame may always. */
const MAX_WAITING_BYTES = 128 * 1024;
const RETRY_MS = 500;
const MAX_TRIES = 20;
/** After this long without a sign of life an entry is used once more and asked for again. */
const FRESH_MS = 30_000;

export interface Neighbour {
  readonly ip: number;
  /** Undefined while nobody has answered. */
  mac: number | undefined;
  /** Time of the last sign of life. */
  seen: number;
  waiting: Uint8Array[];
  cancel: (() => void) | undefined;
}

export class Neighbours {
  readonly #entries = new Map<number, Neighbour>();

  constructor(
    readonly clock: Clock,
    /** Asks the link who has an address; `mac` is where to ask, or undefined for everybody. */
    readonly ask: (ip: number, mac: number | undefined) => void,
    /** A frame whose destination became known; its destination MAC must be filled in. */
    readonly flush: (frame: Uint8Array, mac: number) => void,
    /** An address became known, or known under another MAC. */
    readonly found: (ip: number) => void,
    /** Whose entry an address is: who has most makes room. */
    readonly stationOf: (ip: number) => number = () => 0,
  ) {}

  /** The MAC address to send to, or undefined: `frame` then waits here until it is known. */
  resolve(ip: number, frame: Uint8Array): number | undefined {
    let entry = this.#entries.get(ip);
    if (entry === undefined) {
      this.#makeRoom();
      entry = { ip, mac: undefined, seen: -Infinity, waiting: [], cancel: undefined };
      this.#entries.set(ip, entry);
    }
    if (entry.mac === undefined) {
      entry.waiting.push(compact(frame));
      let bytes = entry.waiting.reduce((sum, { length }) => sum + length, 0);
      while (entry.waiting.length > MAX_WAITING || (bytes > MAX_WAITING_BYTES && entry.waiting.length > 1)) {
        bytes -= entry.waiting.shift()?.length ?? 0;
      }
      if (entry.cancel === undefined) this.#search(entry, 1);
      return undefined;
    }
    const now = this.clock.now();
    if (now - entry.seen > FRESH_MS) {
      entry.seen = now;
      this.ask(ip, entry.mac);
    }
    return entry.mac;
  }

  /** Something came from `ip` under `mac`. Only ARP (`authoritative`) changes an entry that has a MAC already. */
  learn(ip: number, mac: number, authoritative: boolean): void {
    let entry = this.#entries.get(ip);
    if (entry?.mac === mac) {
      entry.seen = this.clock.now();
      return;
    }
    if (entry === undefined) {
      this.#makeRoom();
      entry = { ip, mac: undefined, seen: 0, waiting: [], cancel: undefined };
      this.#entries.set(ip, entry);
    }
    if (entry.mac !== undefined && !authoritative) return;
    entry.mac = mac;
    entry.seen = this.clock.now();
    entry.cancel?.();
    entry.cancel = undefined;
    const waiting = entry.waiting;
    entry.waiting = [];
    for (const frame of waiting) this.flush(frame, mac);
    this.found(ip);
  }

  /** Forgets where an address is; the next frame to it asks. */
  forget(ip: number): void {
    this.#entries.get(ip)?.cancel?.();
    this.#entries.delete(ip);
  }

  macOf(ip: number): number | undefined {
    return this.#entries.get(ip)?.mac;
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.cancel?.();
    this.#entries.clear();
  }

  #search(entry: Neighbour, attempt: number): void {
    this.ask(entry.ip, undefined);
    // The answer can come before `ask` returns.
    if (entry.mac !== undefined) return;
    entry.cancel = this.clock.after(RETRY_MS, () => {
      entry.cancel = undefined;
      if (attempt < MAX_TRIES) this.#search(entry, attempt + 1);
      else this.#entries.delete(entry.ip);
    });
  }

  /** Drops the oldest entry of who has most: a guest that claims many addresses neither grows the table nor fills it. */
  #makeRoom(): void {
    if (this.#entries.size < MAX_ENTRIES) return;
    const oldest = crowdedMost(this.#entries.keys(), this.stationOf);
    if (oldest !== undefined) this.forget(oldest);
  }
}
