/**
 * A split virtqueue, the driver's side (virtio 1.2, section 2.7; virtio/ring-format.ts has the picture), in the monitor's
 * memory. Without the event index: the driver asks for every interrupt, and kicks always. What the device says is checked:
 * it may be of another version, and its answers come from what the world outside has sent.
 */
import {
  DESCRIPTOR_SIZE,
  deviceAreaSize,
  driverAreaSize,
  elementAt,
  headAt,
  INDEX,
  writeDescriptor,
} from '../../computer/virtio/ring-format.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { InterpositionError } from '../errors.js';

/** A buffer that the device reads or writes. */
export interface DriverBuffer {
  /** Byte offset in machine memory, in the driver's own stretch. */
  readonly at: number;
  readonly length: number;
  readonly write: boolean;
}

/** A chain that the device is done with. */
export interface Finished {
  readonly head: number;
  /** Bytes it has written, at most as many as there was room for. */
  readonly written: number;
}

/** A split virtqueue, the driver's side. */
export class DriverQueue {
  readonly desc: number;
  readonly driver: number;
  readonly device: number;
  readonly #memory: MonitorMemory;
  readonly #halves: Uint16Array;
  #next = 0;
  #seen = 0;
  #underWay = 0;
  readonly #free: number[];
  /** By head: the descriptors of its chain, and the room in it. Undefined: not the device's. */
  readonly #chains: ({ readonly descriptors: readonly number[]; readonly room: number } | undefined)[];

  /** @param size a power of two, at most the device's largest */
  constructor(
    memory: MonitorMemory,
    readonly size: number,
  ) {
    this.#memory = memory;
    this.#halves = new Uint16Array(memory.bytes.buffer);
    this.desc = memory.take(DESCRIPTOR_SIZE * size);
    this.driver = memory.take(driverAreaSize(size), 2);
    this.device = memory.take(deviceAreaSize(size), 4);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
    this.#chains = Array.from({ length: size }, () => undefined);
  }

  /** Descriptors that are free. */
  get room(): number {
    return this.#free.length;
  }

  /** Chains that the device has. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Gives the device a chain of buffers, those it reads first; answers its name. Throws RangeError if there is no `room`. */
  add(buffers: readonly DriverBuffer[]): number {
    if (buffers.length === 0 || buffers.length > this.#free.length) {
      throw new RangeError(`no room for a chain of ${buffers.length} buffers, there is some for ${this.#free.length}`);
    }
    // With nothing under way a hart may have used the queue meanwhile, and left it empty (virtio/driven-disk.ts).
    if (this.#underWay === 0) {
      this.#next = Atomics.load(this.#halves, (this.driver + INDEX) >>> 1);
      this.#seen = Atomics.load(this.#halves, (this.device + INDEX) >>> 1);
    }
    this.#underWay++;
    const descriptors = buffers.map(() => this.#free.pop() ?? 0);
    const { view } = this.#memory;
    let room = 0;
    buffers.forEach(({ at, length, write }, i) => {
      writeDescriptor(view, this.desc, descriptors[i] ?? 0, at, length, write, descriptors[i + 1]);
      if (write) room += length;
    });
    const head = descriptors[0] ?? 0;
    this.#chains[head] = { descriptors, room };
    view.setUint16(this.driver + headAt(this.#next, this.size), head, true);
    this.#next = (this.#next + 1) & 0xffff;
    Atomics.store(this.#halves, (this.driver + INDEX) >>> 1, this.#next);
    return head;
  }

  /**
   * The next chain that the device is done with; undefined if there is none.
   * Throws InterpositionError `state` if the device names one that it does not have.
   */
  next(): Finished | undefined {
    if (this.#underWay === 0) return undefined;
    const index = Atomics.load(this.#halves, (this.device + INDEX) >>> 1);
    if (index === this.#seen) return undefined;
    const { view } = this.#memory;
    const at = this.device + elementAt(this.#seen, this.size);
    const head = view.getUint32(at, true);
    const chain = this.#chains[head];
    if (chain === undefined) {
      throw new InterpositionError('state', `the device finished chain ${head}, which it was not given`);
    }
    this.#chains[head] = undefined;
    this.#underWay--;
    this.#free.push(...chain.descriptors);
    this.#seen = (this.#seen + 1) & 0xffff;
    return { head, written: Math.min(view.getUint32(at + 4, true), chain.room) };
  }
}
