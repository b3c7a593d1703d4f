/**
 * How much of its memory an OS instance may have: its device tree says `maxMemory`, its balloon keeps the rest of it away
 * from its kernel, and its address space gives it no more frames than that, whatever the kernel believes.
 *
 *      0 ───────────────────── ceiling ──── asked ───────── maxMemory
 *      │ what the kernel works with │ lent to others │ the balloon │
 *
 * The ceiling is what was asked for, but where the computer is short of memory (pressure.ts).
 */
import type { GuestMemoryStatistics } from '../computer/virtio/balloon-format.js';
import type { VirtioBalloon } from '../computer/virtio/balloon.js';
import type { MemoryPages } from '../partition/balloon-pages.js';
import { GuestError } from './errors.js';
import type { Holder } from './pressure.js';

const PAGE = 4096;
/** So long what a guest has said of its memory is taken for how it is (ms). */
const FRESH = 500;
/** So long it may take to give what it was asked for under pressure, before others are asked in its stead (ms). */
const PATIENCE = 1000;
const mib = (pages: number): string => `${Math.round((pages * PAGE) / 2 ** 20)} MiB`;

/** What it changes in an OS instance's address space. In pages. */
export interface SizedSpace {
  readonly taken: number;
  readonly resident: number;
  readonly guaranteed: number;
  /** The space has no more frames than this. */
  limit: number;
  /** Throws ComputerError `no-frames`, changing nothing. */
  guarantee(pages: number): void;
}

/** How an OS instance stands with its memory: plain data. */
export interface MemoryReport {
  /** Bytes that it was given. */
  readonly size: number;
  /** Bytes that it can be given. */
  readonly maxMemory: number;
  /** Bytes that are its own, whatever others take. */
  readonly guaranteed: number;
  /** Bytes for which it has frames now. */
  readonly resident: number;
  /** Bytes that its kernel can work with now; more than `size` where it has not loaded its balloon's driver. */
  readonly usable: number;
  /** Bytes that it is to do without for others, because the computer is short of memory. */
  readonly lent: number;
  /** What its kernel has said last, when it was asked; all of it is the guest's word. */
  readonly guest?: GuestMemoryStatistics;
}

/** How long a guest has to follow, and who is told. */
export interface SizeOptions {
  /** Milliseconds for the guest to follow; 30,000 unless told. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** Told of bytes that its kernel can work with, as that changes. */
  readonly onProgress?: (usable: number) => void;
}

interface Waiting {
  readonly done: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: (usable: number) => void;
}

/** The memory of one OS instance that has a balloon. */
export class MemorySize {
  readonly #balloon: VirtioBalloon;
  readonly #pages: MemoryPages;
  readonly #space: SizedSpace;
  readonly #name: string;
  /** Pages of what it was given that are its own; undefined: all of it, however much that is. */
  readonly #guaranteed: number | undefined;
  /** Pages below which it is not pressed: its kernel would panic. */
  readonly #least: number;
  #asked: number;
  #ceiling: number;
  #waiting: Waiting | undefined;
  #statistics: GuestMemoryStatistics | undefined;
  /** Frames that it had and did not need when it said how it stands, and when that was. */
  #reclaimable = 0;
  #saidAt = -Infinity;
  #isOver = false;
  /** What it is to come down to, since it was asked and owes, and until when. */
  #due: { readonly taken: number; readonly by: number } | undefined;

  /** In pages. `guaranteed`: undefined, if all of what it is given is its own. `least`: what its kernel needs. */
  constructor(
    name: string,
    parts: { readonly balloon: VirtioBalloon; readonly pages: MemoryPages; readonly space: SizedSpace },
    {
      memory,
      guaranteed,
      least = 0,
    }: { readonly memory: number; readonly guaranteed: number | undefined; readonly least?: number },
  ) {
    this.#name = name;
    this.#balloon = parts.balloon;
    this.#pages = parts.pages;
    this.#space = parts.space;
    this.#guaranteed = guaranteed;
    this.#least = least;
    this.#asked = this.#ceiling = memory;
    this.#space.limit = memory;
    this.#pages.onChange = () => this.#look();
    this.#balloon.onStatistics = (statistics) => this.#said(statistics);
    this.#aim();
  }

  /** Has the guest say anew how it stands, for the next who looks. */
  report(): MemoryReport {
    this.ask();
    return {
      size: this.#asked * PAGE,
      maxMemory: this.#most * PAGE,
      guaranteed: this.#space.guaranteed * PAGE,
      resident: this.#space.resident * PAGE,
      usable: this.#usable * PAGE,
      lent: (this.#asked - this.#ceiling) * PAGE,
      ...(this.#statistics && { guest: this.#statistics }),
    };
  }

  /** As the policy for a computer that is short of memory sees it. */
  get holder(): Holder {
    const { taken } = this.#space;
    const guaranteed = Math.max(this.#space.guaranteed, this.#least);
    const reclaimable = performance.now() - this.#saidAt < FRESH ? this.#reclaimable : undefined;
    const heedless = this.#isHeedless();
    return { resident: taken, guaranteed, size: this.#asked, ceiling: this.#ceiling, reclaimable, heedless };
  }

  /** It has no driver, or has not come down in time to what it was asked for; what it was asked for since is due after that. */
  #isHeedless(): boolean {
    this.#reckon();
    return !this.#balloon.driven || (this.#due !== undefined && performance.now() > this.#due.by);
  }

  #reckon(): void {
    const { taken } = this.#space;
    if (taken <= this.#ceiling) this.#due = undefined;
    else if (this.#due === undefined || taken <= this.#due.taken) {
      this.#due = { taken: this.#ceiling, by: performance.now() + PATIENCE };
    }
  }

  /** Has the guest say how it stands with its memory. */
  ask(): void {
    if (!this.#isOver) this.#balloon.askStatistics();
  }

  /** What it may have now, of what it was given. */
  lend(ceiling: number): void {
    this.#ceiling = Math.max(0, Math.min(ceiling, this.#asked));
    this.#reckon();
    this.#aim();
  }

  /**
   * Has the guest work with so many pages. Resolves when it does. Throws ComputerError `no-frames` if they cannot be
   * guaranteed, and nothing has changed then; GuestError `stopped` (it has ended), `superseded` (it was asked for another
   * size meanwhile), `memory-not-followed`: it was asked, and still is. What the signal says ends the wait only, too.
   */
  async set(pages: number, { timeout = 30_000, signal, onProgress = none }: SizeOptions = {}): Promise<void> {
    if (this.#isOver) throw this.#ended();
    signal?.throwIfAborted();
    const own = this.#own(pages);
    if (own > this.#space.guaranteed) this.#space.guarantee(own);
    const before = this.#waiting;
    this.#waiting = undefined;
    before?.reject(this.#error('superseded', `${this.#name} is to have ${mib(pages)} of memory instead`));
    const grows = this.#usable < pages;
    this.#asked = this.#ceiling = pages;
    if (this.#space.limit < pages) this.#space.limit = pages;
    const done = (): boolean => (grows ? this.#usable >= this.#ceiling : this.#usable <= this.#asked);
    let mine: Waiting | undefined;
    const followed = new Promise<void>((resolve, reject) => {
      mine = this.#waiting = { done, resolve, reject, onProgress };
    });
    const fail = (error: unknown): void => this.#fail(mine, error);
    const late = (): void => fail(this.#error('memory-not-followed', this.#notFollowed(pages, timeout)));
    const timer = timeout < 2 ** 31 ? setTimeout(late, timeout) : undefined;
    const abort = (): void => fail(signal?.reason);
    signal?.addEventListener('abort', abort);
    this.#aim();
    this.#look();
    try {
      await followed;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** The OS instance has ended. */
  end(): void {
    this.#isOver = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(this.#ended());
  }

  #said(statistics: GuestMemoryStatistics): void {
    this.#statistics = statistics;
    if (statistics.available === undefined) return;
    // What lies free in it and has no frame is available too.
    const used = this.#usable - Math.floor(statistics.available / PAGE);
    this.#reclaimable = this.#space.taken - used;
    this.#saidAt = performance.now();
  }

  get #most(): number {
    return this.#pages.extent.count;
  }

  /** Pages that its kernel can work with. */
  get #usable(): number {
    return this.#most - this.#pages.inflated;
  }

  /** How many of so many pages are its own. */
  #own(pages: number): number {
    return Math.min(pages, this.#guaranteed ?? pages);
  }

  #aim(): void {
    if (!this.#isOver) this.#balloon.target = this.#most - this.#ceiling;
  }

  /** The balloon has changed: what the guest has given up it cannot have again unless it is given it. */
  #look(): void {
    if (this.#isOver) return;
    const space = this.#space;
    // Who has no driver gives nothing up, and has no use for what it has not touched: it was never told of it.
    const keeps = this.#balloon.driven ? this.#usable : space.taken;
    space.limit = Math.min(space.limit, Math.max(this.#asked, keeps));
    const own = Math.max(this.#own(this.#asked), Math.min(space.guaranteed, space.limit));
    if (own < space.guaranteed) space.guarantee(own);
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    try {
      waiting.onProgress(this.#usable * PAGE);
    } catch (error) {
      // Whoever looks on may give up; the guest has no part in it.
      return this.#fail(waiting, error);
    }
    if (this.#waiting !== waiting || !waiting.done()) return;
    this.#waiting = undefined;
    waiting.resolve();
  }

  #fail(waiting: Waiting | undefined, error: unknown): void {
    if (this.#waiting === waiting) this.#waiting = undefined;
    waiting?.reject(error);
  }

  #notFollowed(pages: number, timeout: number): string {
    const why = this.#balloon.driven
      ? this.#usable > pages
        ? 'its kernel cannot free more now'
        : 'its kernel has not taken all of it out of its balloon yet'
      : 'it has not loaded the driver of its balloon (virtio_balloon)';
    return `${this.#name} works with ${mib(this.#usable)} of memory and not with ${mib(pages)} after ${timeout} ms: ${why}`;
  }

  #ended(): GuestError {
    return this.#error('stopped', `${this.#name} has ended`);
  }

  #error(code: 'stopped' | 'superseded' | 'memory-not-followed', message: string): GuestError {
    return new GuestError(code, message, { reached: this.#usable * PAGE });
  }
}

const none = (): undefined => undefined;
