/** The monitor's driver of an entropy device (virtio 1.2, 5.4): random bytes, a buffer at a time. */
import type { VirtioEntropy } from '../../computer/virtio/entropy.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { InterpositionError } from '../errors.js';
import { Driver } from './driver.js';

const BUFFER = 4096;
export const ENTROPY_DRIVER_BYTES = BUFFER + 4096;

/** The monitor's driver of an entropy device. */
export class EntropyDriver extends Driver {
  readonly #buffer: number;
  #written = 0;

  constructor(device: VirtioEntropy, memory: MonitorMemory) {
    super(device, memory, 0);
    this.takeOver([1]);
    this.#buffer = memory.take(BUFFER);
  }

  /**
   * Fills an array with random bytes, and says how many it has got: all, but for a driver that has failed. The device
   * answers at once, as often as it takes.
   */
  fill(into: Uint8Array): number {
    const { bytes } = this.memory;
    for (let at = 0; at < into.length;) {
      this.#written = 0;
      if (this.failure === undefined) {
        const length = Math.min(BUFFER, into.length - at);
        this.attempt(() => {
          this.queues[0].add([{ at: this.#buffer, length, write: true }]);
          this.kick(0);
        });
        this.look();
      }
      // An entropy device may give less than was asked for, but never nothing (5.4.6.1).
      if (this.#written === 0) {
        this.fail(new InterpositionError('state', 'the entropy device gives nothing'));
        return at;
      }
      into.set(bytes.subarray(this.#buffer, this.#buffer + this.#written), at);
      // What was given once is nobody else's.
      bytes.fill(0, this.#buffer, this.#buffer + this.#written);
      at += this.#written;
    }
    return into.length;
  }

  get goesOn(): string | undefined {
    return undefined;
  }

  protected override onFailed(): void {
    // Who asks next is told.
  }

  protected override finished(): void {
    for (let done = this.queues[0].next(); done !== undefined; done = this.queues[0].next())
      this.#written = done.written;
  }
}
