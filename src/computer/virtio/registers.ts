/**
 * The registers of a virtio device on PCI (virtio 1.2, section 4.1, without the
 * legacy interface), as a hart's thread reads and writes them. All devices have the
 * same; of their own configuration fields a driver may write those words that the state page names.
 *
 * BAR 0:
 *
 *   0x000  common configuration
 *   0x100  ISR status
 *   0x200  device configuration
 *   0x800  notifications, one word per queue
 */
import type { InterruptLine } from '../dma.js';
import type { PciFunction } from '../pci/host.js';
import { BAR0, CAPABILITIES, COMMAND, extract, merge, STATUS_INTERRUPT, writableBits } from '../pci/config-space.js';
import { lock, unlock } from '../state-page.js';
import { resetState, updateLine } from './control.js';
import { EFFECTS, noteEvent, noteGeneration, type Effect } from './sequences.js';
import * as s from './state.js';

export const BAR_SIZE = 0x1000;
export const BAR_COMMON = 0x000;
export const COMMON_SIZE = 0x40;
export const BAR_ISR = 0x100;
export const BAR_CONFIG = 0x200;
export const BAR_NOTIFY = 0x800;
export const NOTIFY_MULTIPLIER = 4;

/** Where the capability VIRTIO_PCI_CAP_PCI_CFG lies: a window onto BAR 0 inside the configuration space (4.1.4.9). */
export const PCI_CFG_CAP = CAPABILITIES + 16 + 20 + 16 + 16;
const PCI_CFG_BAR = PCI_CFG_CAP + 4;
const PCI_CFG_OFFSET = PCI_CFG_CAP + 8;
const PCI_CFG_LENGTH = PCI_CFG_CAP + 12;
const PCI_CFG_DATA = PCI_CFG_CAP + 16;

const NO_VECTOR = 0xffff;

export class VirtioRegisters implements PciFunction {
  readonly barSize = BAR_SIZE;
  readonly #words: Int32Array;
  readonly #page: number;
  readonly #line: InterruptLine;
  readonly #doorbell: () => void;
  readonly #serve: ((queue: number) => boolean) | undefined;

  /**
   * @param doorbell wakes the main thread, which then polls the devices
   * @param serve handles a kicked queue on this thread; the main thread hears of it only if this says false
   */
  constructor(
    buffer: SharedArrayBuffer,
    stateOffset: number,
    line: InterruptLine,
    doorbell: () => void,
    serve?: (queue: number) => boolean,
  ) {
    this.#serve = serve;
    this.#words = new Int32Array(buffer);
    this.#page = stateOffset >>> 2;
    this.#line = line;
    this.#doorbell = doorbell;
  }

  configRead(offset: number, size: number): number {
    if (offset >= s.LOCK) return 0;
    if (offset >= PCI_CFG_DATA && offset < PCI_CFG_DATA + 4) {
      const at = this.#windowed(size);
      return at < 0 ? 0 : this.barRead(at, size);
    }
    let word = this.#load(offset & ~3);
    if ((offset & ~3) === COMMAND && this.#load(s.ISR) !== 0) word |= STATUS_INTERRUPT << 16;
    return extract(word, offset, size);
  }

  configWrite(offset: number, size: number, value: number): void {
    if (offset >= s.LOCK) return;
    if (offset >= PCI_CFG_DATA && offset < PCI_CFG_DATA + 4) {
      const at = this.#windowed(size);
      if (at >= 0) this.barWrite(at, size, value);
      return;
    }
    const at = offset & ~3;
    let writable = writableBits(at, BAR_SIZE);
    if (at === PCI_CFG_BAR) writable = 0xff;
    else if (at === PCI_CFG_OFFSET || at === PCI_CFG_LENGTH) writable = -1;
    if (writable === 0) return;
    merge(this.#words, this.#page + (s.LOCK >>> 2), this.#page + (at >>> 2), writable, offset, size, value);
    if (at === BAR0) this.#noteBar();
    if (at === COMMAND) {
      lock(this.#words, this.#page + (s.LOCK >>> 2));
      updateLine(this.#words, this.#page, this.#line);
      unlock(this.#words, this.#page + (s.LOCK >>> 2));
      // Queues kicked before the function became a bus master have waited for it.
      if (this.#load(s.KICKED) !== 0) this.#doorbell();
    }
  }

  /** A BAR to which all ones were written shows its size: its driver is about to read it (PCI 3.0, 6.2.5.1). */
  #noteBar(): void {
    const sizing = this.#load(BAR0) >>> 0 === -BAR_SIZE >>> 0;
    this.#note(sizing ? EFFECTS['all ones written to BAR'] : EFFECTS['address written to BAR']);
  }

  /** Where in BAR 0 the window of the configuration space looks; -1 if it is set to nothing that may be accessed. */
  #windowed(size: number): number {
    const at = this.#load(PCI_CFG_OFFSET);
    const ok = (this.#load(PCI_CFG_BAR) & 0xff) === 0 && this.#load(PCI_CFG_LENGTH) === size;
    return ok && at >= 0 && at <= BAR_SIZE - size && at % size === 0 ? at : -1;
  }

  barRead(offset: number, size: number): number {
    if (offset < BAR_ISR) return clip(this.#commonRead(offset), size);
    if (offset < BAR_CONFIG) return offset === BAR_ISR ? this.#takeIsr() : 0;
    if (offset >= BAR_NOTIFY) return 0;
    const at = offset - BAR_CONFIG;
    if (at + size > Math.min(this.#load(s.CONFIG_LENGTH), s.MAX_CONFIG)) return 0;
    return extract(this.#load(s.CONFIG + (at & ~3)), at, size);
  }

  barWrite(offset: number, size: number, value: number): void {
    if (offset >= BAR_NOTIFY) {
      // The address says which queue; that many bits we have.
      const q = (offset - BAR_NOTIFY) / NOTIFY_MULTIPLIER;
      if (Number.isInteger(q) && q < this.#load(s.NUM_QUEUES) && q < s.MAX_QUEUES) {
        if (this.#serve?.(q) !== true) this.#kick(1 << q);
      }
    } else if (offset < BAR_ISR) {
      this.#commonWrite(offset, clip(value, size));
    } else if (offset >= BAR_CONFIG) {
      this.#deviceWrite(offset - BAR_CONFIG, size, value);
    }
  }

  /** A field of the device's own: few devices have some that a driver may write. */
  #deviceWrite(at: number, size: number, value: number): void {
    if (at + size > Math.min(this.#load(s.CONFIG_LENGTH), s.MAX_CONFIG) || at >= 4 * 32) return;
    if ((this.#load(s.CONFIG_WRITABLE) & (1 << (at >>> 2))) === 0) return;
    merge(this.#words, this.#page + (s.LOCK >>> 2), this.#page + ((s.CONFIG + at) >>> 2), -1, at, size, value);
  }

  #kick(bits: number): void {
    this.#note(EFFECTS.kick);
    // A bit that was already set has rung the doorbell already.
    if ((Atomics.or(this.#words, this.#page + (s.KICKED >>> 2), bits) & bits) !== bits) this.#doorbell();
  }

  /** Reading the ISR status clears it and drops the line (4.1.4.5). */
  #takeIsr(): number {
    lock(this.#words, this.#page + (s.LOCK >>> 2));
    const isr = this.#load(s.ISR);
    if (isr !== 0) {
      this.#store(s.ISR, 0);
      updateLine(this.#words, this.#page, this.#line);
    }
    unlock(this.#words, this.#page + (s.LOCK >>> 2));
    return isr;
  }

  /** Offset in the state page of the selected queue, or -1. */
  #queue(): number {
    const q = this.#load(s.QUEUE_SELECT);
    return q < this.#load(s.NUM_QUEUES) && q < s.MAX_QUEUES ? s.QUEUE + q * s.QUEUE_STRIDE : -1;
  }

  /** Section 4.1.4.3. A field is known by its offset alone. */
  #commonRead(offset: number): number {
    switch (offset) {
      case 0x00:
        return this.#load(s.DEVICE_FEATURE_SELECT);
      case 0x04:
        return this.#feature(s.DEVICE_FEATURES, this.#load(s.DEVICE_FEATURE_SELECT));
      case 0x08:
        return this.#load(s.DRIVER_FEATURE_SELECT);
      case 0x0c:
        return this.#feature(s.DRIVER_FEATURES, this.#load(s.DRIVER_FEATURE_SELECT));
      case 0x10:
      case 0x1a:
        return NO_VECTOR;
      case 0x12:
        return this.#load(s.NUM_QUEUES);
      case 0x14:
        return this.#readStatus();
      case 0x15:
        return this.#readGeneration();
      case 0x16:
        return this.#load(s.QUEUE_SELECT);
    }
    const queue = this.#queue();
    if (queue < 0) return 0;
    switch (offset) {
      case 0x18:
        return this.#load(queue + s.QUEUE_SIZE);
      case 0x1c:
        return this.#load(queue + s.QUEUE_ENABLED);
      case 0x1e:
      case 0x38:
        return this.#load(s.QUEUE_SELECT);
      case 0x20:
      case 0x24:
      case 0x28:
      case 0x2c:
      case 0x30:
      case 0x34:
        return this.#load(queue + s.QUEUE_DESC + offset - 0x20);
      default:
        return 0;
    }
  }

  #commonWrite(offset: number, value: number): void {
    switch (offset) {
      case 0x00:
        return this.#store(s.DEVICE_FEATURE_SELECT, value);
      case 0x08:
        return this.#store(s.DRIVER_FEATURE_SELECT, value);
      case 0x0c: {
        const select = this.#load(s.DRIVER_FEATURE_SELECT);
        // Once negotiated, features stay (2.2.1).
        if ((select === 0 || select === 1) && (this.#load(s.DEVICE_STATUS) & s.FEATURES_OK) === 0) {
          this.#store(s.DRIVER_FEATURES + 4 * select, value);
        }
        return;
      }
      case 0x14:
        return this.#setStatus(value & 0xff);
      case 0x16:
        return this.#store(s.QUEUE_SELECT, value & 0xffff);
    }
    const queue = this.#queue();
    if (queue < 0 || this.#load(queue + s.QUEUE_ENABLED) !== 0) return;
    switch (offset) {
      case 0x18:
        return this.#store(queue + s.QUEUE_SIZE, value & 0xffff);
      case 0x1c:
        // Only a reset disables a queue (4.1.4.3.2).
        if (value === 1) this.#store(queue + s.QUEUE_ENABLED, 1);
        return;
      case 0x20:
      case 0x24:
      case 0x28:
      case 0x2c:
      case 0x30:
      case 0x34:
        return this.#store(queue + s.QUEUE_DESC + offset - 0x20, value);
    }
  }

  #readStatus(): number {
    const status = this.#load(s.DEVICE_STATUS);
    if (status === 0) this.#note(EFFECTS['status zero read']);
    return status;
  }

  #readGeneration(): number {
    const generation = this.#load(s.CONFIG_GENERATION);
    noteGeneration(this.#words, this.#page, generation);
    return generation;
  }

  #feature(set: number, select: number): number {
    return select === 0 || select === 1 ? this.#load(set + 4 * select) : 0;
  }

  #setStatus(value: number): void {
    lock(this.#words, this.#page + (s.LOCK >>> 2));
    let driverOk = false;
    if (value === 0) {
      this.#note(EFFECTS['status zero written']);
      // While a thread is amid the queues the status keeps its old value: the driver waits for 0 (4.1.4.3.2).
      if (this.#load(s.BUSY) !== 0) this.#store(s.RESET_PENDING, 1);
      else resetState(this.#words, this.#page, this.#line);
    } else if (this.#load(s.RESET_PENDING) === 0) {
      const old = this.#load(s.DEVICE_STATUS);
      let status = (value & ~s.DEVICE_NEEDS_RESET) | (old & s.DEVICE_NEEDS_RESET);
      if ((status & s.FEATURES_OK) !== 0 && (old & s.FEATURES_OK) === 0 && !this.#featuresAcceptable()) {
        status &= ~s.FEATURES_OK;
      }
      this.#store(s.DEVICE_STATUS, status);
      if ((status & s.ACKNOWLEDGE) !== 0 && (old & s.ACKNOWLEDGE) === 0) this.#note(EFFECTS['acknowledge written']);
      if ((status & s.FAILED) !== 0) this.#note(EFFECTS['failed written']);
      if ((status & s.DRIVER_OK) !== 0) this.#note(EFFECTS['driver-ok written']);
      driverOk = (status & s.DRIVER_OK) !== 0 && (old & s.DRIVER_OK) === 0;
    }
    unlock(this.#words, this.#page + (s.LOCK >>> 2));
    // Whatever the driver has put into its queues before is looked at now.
    if (driverOk) this.#kick(-1);
    if (value === 0) this.#doorbell();
  }

  #featuresAcceptable(): boolean {
    const low = this.#load(s.DRIVER_FEATURES) & ~this.#load(s.DEVICE_FEATURES);
    const high = this.#load(s.DRIVER_FEATURES + 4) & ~this.#load(s.DEVICE_FEATURES + 4);
    return low === 0 && high === 0 && (this.#load(s.DRIVER_FEATURES + 4) & s.VIRTIO_F_VERSION_1_HIGH) !== 0;
  }

  #note(effect: Effect): void {
    noteEvent(this.#words, this.#page, effect);
  }

  #load(at: number): number {
    return Atomics.load(this.#words, this.#page + (at >>> 2));
  }
  #store(at: number, value: number): void {
    Atomics.store(this.#words, this.#page + (at >>> 2), value);
  }
}

function clip(value: number, size: number): number {
  return size === 4 ? value >>> 0 : value & ((1 << (8 * size)) - 1);
}
