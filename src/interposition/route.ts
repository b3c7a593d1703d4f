import type { DmaSpace, InterruptLine } from '../computer/dma.js';
import type { Budget } from '../computer/turns.js';
import type { DeviceHost, Surroundings } from '../computer/virtio/device.js';

/**
 * Where a device's wires lead: whose memory it reaches, whose interrupt controller its line goes to, who hears of it.
 * The device keeps its end; the other end is plugged in elsewhere when the device changes hands.
 */
export class Route implements DeviceHost {
  readonly buffer: SharedArrayBuffer;
  readonly stateOffset: number;
  readonly dma: DmaSpace;
  #to: Surroundings;

  constructor(bytes: Uint8Array, stateOffset: number, to: Surroundings) {
    this.buffer = bytes.buffer as SharedArrayBuffer;
    this.stateOffset = stateOffset;
    this.#to = to;
    const offsetOf = (address: number, write?: boolean): number => this.#to.dma.offsetOf(address, write);
    this.dma = {
      bytes,
      view: new DataView(this.buffer),
      offsetOf,
      written: (offset, length) => this.#to.dma.written(offset, length),
    };
  }

  /** Plugs the other end in elsewhere; nothing of the device may be under way. */
  lead(to: Surroundings): void {
    this.#to = to;
  }

  get line(): InterruptLine {
    return this.#to.line;
  }
  get outputRing(): number | undefined {
    return this.#to.outputRing;
  }
  get budget(): Budget {
    return this.#to.budget;
  }
  get underWay(): { bytes: number } {
    return this.#to.underWay;
  }
  get local(): Surroundings['local'] {
    return this.#to.local;
  }
  doorbell(): void {
    this.#to.doorbell();
  }
  wakeHarts(): void {
    this.#to.wakeHarts();
  }
  refused(): void {
    this.#to.refused?.();
  }
  fault(message: string): void {
    this.#to.fault?.(message);
  }
  failed(error: unknown): void {
    if (this.#to.failed === undefined) throw error;
    this.#to.failed(error);
  }
}
