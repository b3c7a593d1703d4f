/**
 * A split virtqueue, the device's side (virtio 1.2, section 2.7; ring-format.ts has the picture).
 *
 * All three areas are the driver's memory and hold what the driver likes. Garbage makes
 * the device need a reset; it never throws, loops or reaches outside the guest.
 */
import { MAX_BUFFERS, type Chain } from './chain.js';
import type { Budget } from '../turns.js';
import type { GuestMemory } from './guest-memory.js';
import {
  AVAIL_F_NO_INTERRUPT,
  availEventAt,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESCRIPTOR_SIZE,
  elementAt,
  headAt,
  INDEX,
  usedEventAt,
} from './ring-format.js';
import * as s from './state.js';

const PAGE = 4096;
/** Addresses are numbers: exact up to 2^53, and no guest has memory that far up. */
const MAX_ADDRESS_HIGH = 0x1f_ffff;

/** What a queue needs of its device. */
export interface QueueOwner {
  readonly words: Int32Array;
  /** Word index of the device's state page. */
  readonly page: number;
  readonly memory: GuestMemory;
  /** Counts this thread's turns at the device; the queue reads its registers once per turn. */
  readonly turn: number;
  readonly broken: boolean;
  /** How much may still be taken out of queues in this turn. */
  readonly budget: Budget;
  /** Queue `index` was left with something in it because the budget was used up. */
  leftOver(index: number): void;
  fail(message: string): void;
}

/** A split virtqueue (virtio 1.2, 2.7), seen from the device; what the driver wrote in it is untrusted. */
export class Virtqueue {
  /** Something was put into the used ring in this turn. */
  dirty = false;

  readonly #owner: QueueOwner;
  readonly #memory: GuestMemory;
  readonly #index: number;
  readonly #state: number;
  #turn = -1;
  #usable = false;
  #size = 0;
  #desc = 0;
  #avail = 0;
  #used = 0;
  #eventIdx = false;
  #indirect = false;
  /** The available index as last seen. */
  #seen = 0;

  // The descriptor read last.
  #address = 0;
  #length = 0;
  #flags = 0;
  #next = 0;
  readonly #scratch = new Uint8Array(DESCRIPTOR_SIZE);
  readonly #scratchWords = new Int32Array(this.#scratch.buffer);

  constructor(owner: QueueOwner, index: number) {
    this.#owner = owner;
    this.#memory = owner.memory;
    this.#index = index;
    this.#state = owner.page + ((s.QUEUE + index * s.QUEUE_STRIDE) >>> 2);
  }

  /** Whether the driver has set the queue up. Reads the registers once per turn: what is checked is what is used. */
  ready(): boolean {
    if (this.#turn !== this.#owner.turn) {
      this.#turn = this.#owner.turn;
      this.#usable = this.#load();
    }
    return this.#usable && !this.#owner.broken;
  }

  /**
   * Takes the next chain the driver has made available. False if there is none, and then the driver will kick for
   * the next, or if the budget is used up, and then the owner is told.
   */
  pop(chain: Chain): boolean {
    if (!this.ready()) return false;
    const next = this.#get(s.QUEUE_NEXT_AVAIL) & 0xffff;
    if (next === this.#seen && !this.#look(next)) return false;
    const { budget } = this.#owner;
    if (--budget.credit < 0 && !budget.renew()) {
      this.#owner.leftOver(this.#index);
      return false;
    }
    const head = this.#memory.load16(this.#avail + headAt(next, this.#size));
    if (head < 0 || head >= this.#size) return this.#fail(`head ${head} in the available ring`);
    if (!this.#walk(chain, head)) return false;
    this.#set(s.QUEUE_NEXT_AVAIL, (next + 1) & 0xffff);
    budget.credit -= chain.effort;
    return true;
  }

  /** Whether what is finished could be shown to the driver: the device area is memory that may be written. */
  answerable(): boolean {
    if (!this.ready()) return false;
    const end = this.#used + 6 + 8 * this.#size;
    for (let at = this.#used; at < end; at = (Math.floor(at / PAGE) + 1) * PAGE) {
      if (!this.#memory.mayWrite(at)) return false;
    }
    return true;
  }

  /** Gives back the last `count` chains popped, of which none was put into the used ring. */
  rewind(count: number): void {
    this.#set(s.QUEUE_NEXT_AVAIL, (this.#get(s.QUEUE_NEXT_AVAIL) - count) & 0xffff);
  }

  /** Puts a finished chain into the used ring; the driver sees it at `publish`. `written`: bytes written from the start of its writable part. */
  put(head: number, written: number): void {
    if (!this.ready()) return;
    const next = this.#get(s.QUEUE_NEXT_USED) & 0xffff;
    const element = this.#used + elementAt(next, this.#size);
    if (!this.#memory.store32(element, head) || !this.#memory.store32(element + 4, written)) {
      this.#fail('the device area is not in memory');
      return;
    }
    this.#set(s.QUEUE_NEXT_USED, (next + 1) & 0xffff);
  }

  /** Shows the driver what was put into the used ring. */
  publish(): void {
    if (!this.ready()) return;
    if (!this.#memory.store16(this.#used + INDEX, this.#get(s.QUEUE_NEXT_USED))) {
      this.#fail('the device area is not in memory');
    }
    this.dirty = true;
  }

  push(head: number, written: number): void {
    this.put(head, written);
    this.publish();
  }

  /** Whether anything was published, by whichever thread, since the driver was last thought of an interrupt for. */
  get unsignalled(): boolean {
    return this.#get(s.QUEUE_NEXT_USED) !== this.#get(s.QUEUE_SIGNALLED) || this.#get(s.QUEUE_SIGNALLED_VALID) === 0;
  }

  /** How many chains were published since the driver was last thought of an interrupt for. */
  get owed(): number {
    return (this.#get(s.QUEUE_NEXT_USED) - this.#get(s.QUEUE_SIGNALLED)) & 0xffff;
  }

  /** Whether the driver wants an interrupt for what was published since the last one (2.7.7). */
  wantsInterrupt(): boolean {
    this.dirty = false;
    if (!this.ready()) return false;
    const now = this.#get(s.QUEUE_NEXT_USED);
    const before = this.#get(s.QUEUE_SIGNALLED);
    const valid = this.#get(s.QUEUE_SIGNALLED_VALID) !== 0;
    this.#set(s.QUEUE_SIGNALLED, now);
    this.#set(s.QUEUE_SIGNALLED_VALID, 1);
    if (!this.#eventIdx) {
      const flags = this.#memory.load16(this.#avail);
      return flags >= 0 && (flags & AVAIL_F_NO_INTERRUPT) === 0;
    }
    const event = this.#memory.load16(this.#avail + usedEventAt(this.#size));
    return !valid || ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  #load(): boolean {
    if (this.#get(s.QUEUE_ENABLED) === 0) return false;
    const size = this.#get(s.QUEUE_SIZE);
    this.#size = size;
    this.#desc = this.#addressAt(s.QUEUE_DESC, 16);
    this.#avail = this.#addressAt(s.QUEUE_DRIVER, 2);
    this.#used = this.#addressAt(s.QUEUE_DEVICE, 4);
    if (size === 0 || (size & (size - 1)) !== 0 || size > this.#get(s.QUEUE_MAX_SIZE) || size > s.MAX_QUEUE_SIZE) {
      return this.#fail(`a size of ${size}`);
    }
    if (this.#desc < 0 || this.#avail < 0 || this.#used < 0) return this.#fail('an area that is misaligned or nowhere');
    const features = this.#owner.words[this.#owner.page + (s.DRIVER_FEATURES >>> 2)];
    this.#eventIdx = (features & s.VIRTIO_F_EVENT_IDX) !== 0;
    this.#indirect = (features & s.VIRTIO_F_INDIRECT_DESC) !== 0;
    this.#seen = this.#get(s.QUEUE_NEXT_AVAIL) & 0xffff;
    return true;
  }

  #addressAt(at: number, alignment: number): number {
    const high = this.#get(at + 4) >>> 0;
    const low = this.#get(at) >>> 0;
    return high > MAX_ADDRESS_HIGH || low % alignment !== 0 ? -1 : high * 0x1_0000_0000 + low;
  }

  /** Reads the available index; finding nothing new, asks for a kick and reads it again, lest one slip in between. */
  #look(next: number): boolean {
    for (let armed = !this.#eventIdx; ; armed = true) {
      const idx = this.#memory.load16(this.#avail + INDEX);
      if (idx < 0) return this.#fail('the driver area is not in memory');
      const count = (idx - next) & 0xffff;
      if (count > this.#size) return this.#fail(`${count} chains available in a queue of ${this.#size}`);
      this.#seen = idx;
      if (count !== 0) return true;
      if (armed) return false;
      if (!this.#memory.store16(this.#used + availEventAt(this.#size), next)) {
        return this.#fail('the device area is not in memory');
      }
    }
  }

  #walk(chain: Chain, head: number): boolean {
    chain.clear(head);
    let table = this.#desc;
    let entries = this.#size;
    let index = head;
    let indirect = false;
    // In each table every descriptor is met at most once, or the chain is a loop.
    for (let met = 1; ; met++) {
      if (index >= entries) return this.#fail(`descriptor ${index} in a table of ${entries}`);
      if (met > entries) return this.#fail('a chain that loops');
      if (!this.#read(table + DESCRIPTOR_SIZE * index)) return this.#fail('a descriptor that is not in memory');
      if ((this.#flags & DESC_F_INDIRECT) !== 0) {
        entries = this.#length / DESCRIPTOR_SIZE;
        const ok = this.#indirect && !indirect && (this.#flags & DESC_F_NEXT) === 0;
        if (!ok || !Number.isInteger(entries) || entries < 1 || entries > MAX_BUFFERS) {
          return this.#fail('an indirect descriptor that may not be');
        }
        indirect = true;
        table = this.#address;
        index = 0;
        met = 0;
        continue;
      }
      if (!chain.add(this.#address, this.#length, (this.#flags & DESC_F_WRITE) !== 0)) {
        return this.#fail('a chain of too many buffers, or with a readable one after a writable one');
      }
      if ((this.#flags & DESC_F_NEXT) === 0) return true;
      index = this.#next;
    }
  }

  #read(address: number): boolean {
    let words = this.#memory.words;
    let at = this.#memory.wordsAt(address, 4);
    if (at < 0) {
      // An indirect table may lie anywhere, across pages too.
      if (!this.#memory.read(address, DESCRIPTOR_SIZE, this.#scratch, 0)) return false;
      words = this.#scratchWords;
      at = 0;
    }
    const high = words[at + 1] >>> 0;
    // Inexact beyond 2^53, where no guest has memory.
    this.#address = high * 0x1_0000_0000 + (words[at] >>> 0);
    this.#length = words[at + 2] >>> 0;
    const rest = words[at + 3];
    this.#flags = rest & 0xffff;
    this.#next = rest >>> 16;
    return true;
  }

  #fail(what: string): false {
    this.#usable = false;
    this.#owner.fail(`queue ${this.#index}: ${what}`);
    return false;
  }

  #get(at: number): number {
    return Atomics.load(this.#owner.words, this.#state + (at >>> 2));
  }
  #set(at: number, value: number): void {
    Atomics.store(this.#owner.words, this.#state + (at >>> 2), value);
  }
}
