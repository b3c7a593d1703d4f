/** The main thread's side of a virtio device: turns at the queues, interrupts, resets. Devices extend it. */
import type { DmaSpace, InterruptLine } from '../dma.js';
import {
  BAR0,
  COMMAND,
  COMMAND_BUS_MASTER,
  DEVICE_ID,
  INTERRUPT_LINE,
  writableBits,
  writeHeader,
} from '../pci/config-space.js';
import type { Budget } from '../turns.js';
import { lock, StateError, unlock } from '../state-page.js';
import { writeCapabilities } from './capabilities.js';
import { BAR_SIZE } from './registers.js';
import { resetState, updateLine } from './control.js';
import { GuestMemory } from './guest-memory.js';
import type { LocalDiskSlot } from './local-disk.js';
import { Virtqueue, type QueueOwner } from './queue.js';
import { sequencesIn } from './sequences.js';
import * as s from './state.js';

const VIRTIO_VENDOR = 0x1af4;
/** A device's PCI device id is this plus its virtio id (4.1.2). */
const VIRTIO_PCI_DEVICE = 0x1040;

/** What a device has around it: whose memory it reaches, and who hears of it. */
export interface Surroundings {
  /** The memory of the OS instance that has the device. */
  readonly dma: DmaSpace;
  readonly line: InterruptLine;
  /** Byte offset of memory for a console's output, where a hart's thread finds it too (console-output.ts). */
  readonly outputRing?: number | undefined;
  /** Asks that `poll` be called when the event loop has gone round. */
  doorbell(): void;
  /** The main thread's budget for devices. */
  readonly budget: Budget;
  /** Bytes that requests under way keep in the host's memory, of all devices of the instance. */
  readonly underWay: { bytes: number };
  /** Where a disk, whose state page is given, says that harts can reach it themselves. Without it they cannot. */
  readonly local?: ((stateOffset: number) => LocalDiskSlot) | undefined;
  /** Has the instance's harts look again at what they wait for. */
  wakeHarts(): void;
  /** Told of each access that the device did not make, because the guest has no memory there or may not write it. */
  refused?(): void;
  /** Told when the guest's queues were garbage and the device stopped until its reset, and what a disk cannot do. */
  fault?(message: string): void;
  /** Told what was thrown in the device, or by who listens to it; without it that is thrown on. */
  failed?(error: unknown): void;
}

/** What a device is given. Its surroundings may be others the next time it looks. */
export interface DeviceHost extends Surroundings {
  /** The computer's shared memory. */
  readonly buffer: SharedArrayBuffer;
  /** Byte offset of the device's state page: all zero for a new device, or a state that was put back. */
  readonly stateOffset: number;
}

/** What a kind of device says of itself. */
export interface DeviceKind {
  /** virtio device id (chapter 5). */
  id: number;
  classCode: number;
  /** Features 0 … 31 of its own; those of every device are added. */
  features: number;
  /** Largest size of each queue: powers of two. */
  queues: readonly number[];
  /** The device configuration as it is at the beginning. */
  config: Uint8Array;
  /** Words of it that the driver may write, a bit each; none unless told. They are 0 after a reset. */
  driverWrites?: number;
}

/** What all virtio devices have in common: a page of state, queues, an interrupt line. */
export abstract class VirtioDevice implements QueueOwner {
  readonly words: Int32Array;
  readonly page: number;
  readonly memory: GuestMemory;
  turn = 0;
  broken = false;
  /** Changes when the device changes hands. */
  budget: Budget;

  protected readonly queues: readonly Virtqueue[];
  readonly #host: DeviceHost;
  #generation: number;
  /** Turns nest: the outside world may answer while it is being told something. */
  #depth = 0;
  #detached = false;
  #heldOff = false;
  /** Queues that the budget did not suffice for. */
  #leftOver = 0;

  protected constructor(host: DeviceHost, kind: DeviceKind) {
    this.#host = host;
    this.words = new Int32Array(host.buffer);
    this.page = host.stateOffset >>> 2;
    this.memory = new GuestMemory(host.dma, () => host.refused?.());
    this.budget = host.budget;
    const config = new DataView(host.buffer, host.stateOffset, 0x1000);
    const id = config.getUint16(DEVICE_ID, true);
    if (id === 0) initialise(config, kind);
    else if (id !== VIRTIO_PCI_DEVICE + kind.id) {
      throw new StateError('kind', `the state is of PCI device ${id.toString(16)}, not of virtio device ${kind.id}`);
    } else {
      // Whoever had the state before may have left something in the queues.
      Atomics.or(this.words, this.page + (s.KICKED >>> 2), -1);
    }
    this.queues = kind.queues.map((_, q) => new Virtqueue(this, q));
    this.#generation = this.load(s.GENERATION);
  }

  /**
   * The device is taken out for good: its state page and the guest's memory may belong to somebody else from
   * now on, so nothing touches them any more, whatever a backend finishes later.
   */
  detach(): void {
    this.#detached = true;
  }

  /** To be called on the main thread after a doorbell. */
  poll(): void {
    if (this.#detached) return;
    try {
      this.#poll();
    } catch (error) {
      this.crashed(error);
    }
  }

  #poll(): void {
    if (this.load(s.RESET_PENDING) === 0) {
      if (this.load(s.HELD) !== 0) return;
      if (this.load(s.KICKED) === 0) return this.#noticeReset();
      // A function that is no bus master yet may not touch memory; its kicks wait.
      if ((this.load(COMMAND) & COMMAND_BUS_MASTER) === 0) return;
    }
    const kicked = Atomics.exchange(this.words, this.page + (s.KICKED >>> 2), 0);
    if (!this.enter(kicked)) return;
    try {
      this.process(kicked);
    } finally {
      this.leave();
    }
  }

  /**
   * To be called with whatever is thrown where the outside world comes in: that ends the OS instance, not the
   * process. The device touches nothing any more.
   */
  protected crashed(error: unknown): void {
    if (this.#host.failed === undefined) throw error;
    if (this.#detached) return;
    this.detach();
    this.#host.failed(error);
  }

  /** Whether the driver is there and the device works. */
  get running(): boolean {
    if (this.#detached) return false;
    const status = this.load(s.DEVICE_STATUS);
    const ok = (status & s.DRIVER_OK) !== 0 && (status & s.DEVICE_NEEDS_RESET) === 0;
    return ok && (this.load(COMMAND) & COMMAND_BUS_MASTER) !== 0;
  }

  /** The guest's queues are garbage: stops until the driver resets the device (2.1.2). */
  fail(message: string): void {
    if (this.broken || this.#detached) return;
    this.broken = true;
    this.#locked(() => {
      this.store(s.DEVICE_STATUS, this.load(s.DEVICE_STATUS) | s.DEVICE_NEEDS_RESET);
      this.store(s.ISR, this.load(s.ISR) | s.ISR_CONFIG);
      updateLine(this.words, this.page, this.#host.line);
    });
    this.#host.fault?.(message);
  }

  /** Tells whoever runs the machine. */
  protected tell(message: string): void {
    if (!this.#detached) this.#host.fault?.(message);
  }

  leftOver(index: number): void {
    this.#leftOver |= 1 << index;
  }

  /** Handles the queues whose bits are set. Inside a turn. */
  protected abstract process(kicked: number): void;

  /** The driver has reset the device: forget what belonged to before. */
  protected onReset(): void {
    // Most devices keep nothing.
  }

  /**
   * Begins a turn at the queues; a reset waits until it ends. False if there is
   * nothing to work with, if the device is held, or if a hart has its turn: then `kicked`
   * is kept, and `poll` is called when that is over. What was begun before is finished
   * (`finishing`) though the device is held. Each true must be followed by `leave`,
   * before the event loop goes on.
   */
  protected enter(kicked = 0, finishing = false): boolean {
    if (this.#detached) return false;
    if (this.#depth > 0) {
      this.#depth++;
      return true;
    }
    let running = false;
    this.#locked(() => {
      this.#heldOff = (this.load(s.BUSY) & ~s.BUSY_MAIN) !== 0;
      if (this.#heldOff) {
        Atomics.or(this.words, this.page + (s.KICKED >>> 2), kicked | s.MAIN_WAITS);
        return;
      }
      if (this.load(s.RESET_PENDING) !== 0) resetState(this.words, this.page, this.#host.line);
      running = this.running && (finishing || this.load(s.HELD) === 0);
      if (running) this.store(s.BUSY, s.BUSY_MAIN);
    });
    this.#noticeReset();
    if (!running) return false;
    this.turn++;
    this.#depth = 1;
    return true;
  }

  protected leave(): void {
    if (--this.#depth > 0) return;
    let wanted = false;
    for (const queue of this.queues) {
      if (queue.dirty && this.interruptWaits?.(queue) !== true && queue.wantsInterrupt()) wanted = true;
    }
    this.#locked(() => {
      this.store(s.BUSY, 0);
      if (this.load(s.RESET_PENDING) !== 0) {
        resetState(this.words, this.page, this.#host.line);
      } else if (wanted) {
        this.store(s.ISR, this.load(s.ISR) | s.ISR_QUEUE);
        updateLine(this.words, this.page, this.#host.line);
      }
    });
    this.#noticeReset();
    if (this.#leftOver !== 0) this.again(this.#leftOver);
    this.#leftOver = 0;
  }

  /** Whether the device was taken out for good. */
  get isOut(): boolean {
    return this.#detached;
  }

  /** What was taken out of the queues and is not finished yet. */
  get requestsUnderWay(): number {
    return 0;
  }

  /** What goes on between device and driver, in words; undefined if nothing does. */
  goesOn(): string | undefined {
    const [sequence] = sequencesIn(this.load(s.SEQUENCES));
    if (sequence !== undefined) return sequence;
    if (this.load(s.RESET_PENDING) !== 0) return 'reset';
    const inside = this.goesOnInside();
    if (inside !== undefined) return inside;
    if (this.load(s.ISR) !== 0) return 'an interrupt that is not acknowledged';
    return undefined;
  }

  /** What of that the device alone has to finish. */
  goesOnInside(): string | undefined {
    return this.load(s.BUSY) !== 0 || this.requestsUnderWay > 0 ? 'requests under way' : undefined;
  }

  /** As if it had been switched off and on: for the next OS instance that has it. Nothing of it may be under way. */
  powerCycle(): void {
    this.#locked(() => {
      resetState(this.words, this.page, this.#host.line);
      for (const at of [COMMAND, BAR0, INTERRUPT_LINE]) this.store(at, this.load(at) & ~writableBits(at, BAR_SIZE));
      for (const at of [s.SEQUENCES, s.HELD, s.UNDER_WAY]) this.store(at, 0);
    });
    this.#noticeReset();
  }

  /** The device configuration itself, as drivers read it. */
  configuration(): Uint8Array {
    return new Uint8Array(this.#host.buffer, this.#host.stateOffset + s.CONFIG, this.load(s.CONFIG_LENGTH));
  }

  /** For who stands in for another device whose configuration has become this. */
  adoptConfiguration(bytes: Uint8Array): void {
    const mine = this.configuration();
    if (bytes.length === mine.length && bytes.some((byte, i) => byte !== mine[i])) this.changeConfig(0, bytes);
  }

  /** From now on kicks wait, and nothing is begun; what is under way is finished. */
  holdKicks(): void {
    this.#locked(() => this.store(s.HELD, 1));
  }

  /** Goes on after `holdKicks`, or with a state that was put into its page: every queue is looked at once. */
  goOn(): void {
    this.budget = this.#host.budget;
    this.#generation = this.load(s.GENERATION);
    this.broken = (this.load(s.DEVICE_STATUS) & s.DEVICE_NEEDS_RESET) !== 0;
    this.#locked(() => this.store(s.HELD, 0));
    this.again(-1);
  }

  /** The last `enter` was refused because a hart's thread has a turn at the queues (hart-turn.ts). */
  protected get heldOff(): boolean {
    return this.#heldOff;
  }

  /** At the end of a turn: whether an interrupt that a queue has something for waits. It is asked again at the next end. */
  protected interruptWaits?(queue: Virtqueue): boolean;

  /** Taken out for good. */
  protected get detached(): boolean {
    return this.#detached;
  }

  /** Counts resets. What is finished later belongs to the driver only if this has not changed. */
  protected get generation(): number {
    return this.load(s.GENERATION);
  }

  /** Has `poll` come back for these queues: enough was done for one turn. */
  protected again(queues: number): void {
    Atomics.or(this.words, this.page + (s.KICKED >>> 2), queues);
    this.#host.doorbell();
  }

  protected negotiated(feature: number): boolean {
    return (this.load(s.DRIVER_FEATURES) & feature) !== 0;
  }

  /** Changes the device configuration and tells the driver (2.5). */
  protected changeConfig(at: number, bytes: Uint8Array): void {
    if (this.#detached) return;
    const config = new Uint8Array(this.#host.buffer, this.#host.stateOffset + s.CONFIG, s.MAX_CONFIG);
    this.#locked(() => {
      config.set(bytes, at);
      this.store(s.CONFIG_GENERATION, (this.load(s.CONFIG_GENERATION) + 1) & 0xff);
      if ((this.load(s.DEVICE_STATUS) & s.DRIVER_OK) === 0) return;
      this.store(s.ISR, this.load(s.ISR) | s.ISR_CONFIG);
      updateLine(this.words, this.page, this.#host.line);
    });
  }

  protected load(at: number): number {
    return Atomics.load(this.words, this.page + (at >>> 2));
  }
  protected store(at: number, value: number): void {
    Atomics.store(this.words, this.page + (at >>> 2), value);
  }

  #noticeReset(): void {
    const generation = this.load(s.GENERATION);
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.broken = false;
    this.onReset();
  }

  #locked(sequence: () => void): void {
    lock(this.words, this.page + (s.LOCK >>> 2));
    try {
      sequence();
    } finally {
      unlock(this.words, this.page + (s.LOCK >>> 2));
    }
  }
}

function initialise(state: DataView, kind: DeviceKind): void {
  writeHeader(state, {
    vendor: VIRTIO_VENDOR,
    device: VIRTIO_PCI_DEVICE + kind.id,
    subsystemVendor: VIRTIO_VENDOR,
    subsystem: VIRTIO_PCI_DEVICE + kind.id,
    // Of at least 1: no legacy interface (4.1.2.1).
    revision: 1,
    classCode: kind.classCode,
  });
  writeCapabilities(state, kind.config.length);
  const put = (at: number, value: number): void => state.setInt32(at, value, true);
  put(s.DEVICE_FEATURES, kind.features | s.VIRTIO_F_INDIRECT_DESC | s.VIRTIO_F_EVENT_IDX);
  put(s.DEVICE_FEATURES + 4, s.VIRTIO_F_VERSION_1_HIGH);
  put(s.NUM_QUEUES, kind.queues.length);
  put(s.CONFIG_LENGTH, kind.config.length);
  put(s.CONFIG_WRITABLE, kind.driverWrites ?? 0);
  kind.config.forEach((byte, i) => state.setUint8(s.CONFIG + i, byte));
  kind.queues.forEach((size, q) => {
    put(s.QUEUE + q * s.QUEUE_STRIDE + s.QUEUE_SIZE, size);
    put(s.QUEUE + q * s.QUEUE_STRIDE + s.QUEUE_MAX_SIZE, size);
  });
}
