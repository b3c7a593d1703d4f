/** The entropy device (virtio 1.2, section 5.4): fills whatever the driver offers with random bytes. */
import { Chain } from './chain.js';
import { VirtioDevice, type DeviceHost } from './device.js';

const ENTROPY_ID = 4;
const CLASS_OTHER = 0xff_0000;
const QUEUE_SIZE = 8;
/** More at once than this the driver does not get; it asks again. Cryptographic sources give at most 64 KiB per call. */
const MAX_BYTES = 4096;

/** A virtio entropy device (virtio 1.2, 5.4). */
export class VirtioEntropy extends VirtioDevice {
  readonly #source: (into: Uint8Array) => number | undefined;
  readonly #chain = new Chain(this.memory);
  readonly #bytes = new Uint8Array(MAX_BYTES);

  /** @param source fills an array with random bytes, as `crypto.getRandomValues` does, or says how many there were */
  constructor(host: DeviceHost, source: (into: Uint8Array) => unknown) {
    super(host, {
      id: ENTROPY_ID,
      classCode: CLASS_OTHER,
      features: 0,
      queues: [QUEUE_SIZE],
      config: new Uint8Array(0),
    });
    this.#source = (into) => {
      const count = source(into);
      return typeof count === 'number' ? count : undefined;
    };
  }

  protected override process(): void {
    for (let n = 0; n < QUEUE_SIZE; n++) {
      if (!this.queues[0].pop(this.#chain)) return;
      const bytes = this.#bytes.subarray(0, Math.min(MAX_BYTES, this.#chain.writable));
      const count = this.#source(bytes) ?? bytes.length;
      const written = this.#chain.write(0, count, bytes);
      bytes.fill(0);
      if (written < 0) return this.fail('queue 0: a buffer that is not in memory');
      this.queues[0].push(this.#chain.head, written);
    }
    this.again(1);
  }
}
