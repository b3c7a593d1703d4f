/**
 * A virtio driver of the monitor's own over a device of the computer, in the monitor's memory. It takes the device over
 * as it stands: the device is not reset, its state is exchanged while nothing of it is under way (as virtio 1.4's device
 * parts are), and given back in the same way.
 */
import type { InterruptLine } from '../../computer/dma.js';
import { COMMAND, COMMAND_BUS_MASTER, COMMAND_INTX_DISABLE, COMMAND_MEMORY } from '../../computer/pci/config-space.js';
import type { VirtioDevice } from '../../computer/virtio/device.js';
import * as s from '../../computer/virtio/state.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { DriverQueue } from './queue.js';

const RUNNING = s.ACKNOWLEDGE | s.DRIVER | s.FEATURES_OK | s.DRIVER_OK;

/** What drivers of all kinds have in common. */
export abstract class Driver {
  readonly memory: MonitorMemory;
  /** Where the device's interrupts lead while the monitor drives it. */
  readonly line: InterruptLine;
  protected readonly device: VirtioDevice;
  protected queues: readonly DriverQueue[] = [];
  /** Told whenever the driver does something. */
  entered: () => void = () => undefined;
  /** Told when the device's configuration has changed. */
  configured: () => void = () => undefined;
  /** Why the driver does nothing any more. */
  failure: Error | undefined;
  #drains = false;
  #closed = false;

  /** @param features those of the device's own (bits 0 … 27) that this driver knows; what is not offered is left out */
  constructor(
    device: VirtioDevice,
    memory: MonitorMemory,
    private readonly features: number,
  ) {
    this.device = device;
    this.memory = memory;
    this.line = { set: (level) => level && this.#soon() };
  }

  /** Takes the device over: it must stand still. `sizes`: what the queues are to have, if the device goes so far. */
  protected takeOver(sizes: readonly number[]): void {
    const { words, page } = this.device;
    const put = (at: number, value: number): void => void Atomics.store(words, page + (at >>> 2), value);
    const get = (at: number): number => Atomics.load(words, page + (at >>> 2));
    const queues: DriverQueue[] = [];
    sizes.forEach((size, q) => {
      const at = s.QUEUE + q * s.QUEUE_STRIDE;
      for (let i = 0; i < s.QUEUE_STRIDE; i += 4) if (i !== s.QUEUE_MAX_SIZE) put(at + i, 0);
      const queue = new DriverQueue(this.memory, Math.min(size, get(at + s.QUEUE_MAX_SIZE)));
      queues.push(queue);
      put(at + s.QUEUE_SIZE, queue.size);
      put(at + s.QUEUE_DESC, queue.desc);
      put(at + s.QUEUE_DRIVER, queue.driver);
      put(at + s.QUEUE_DEVICE, queue.device);
      put(at + s.QUEUE_ENABLED, 1);
    });
    this.queues = queues;
    put(s.DRIVER_FEATURES, get(s.DEVICE_FEATURES) & this.features);
    put(s.DRIVER_FEATURES + 4, s.VIRTIO_F_VERSION_1_HIGH);
    put(s.KICKED, 0);
    put(s.ISR, 0);
    put(s.DEVICE_STATUS, RUNNING);
    put(COMMAND, (get(COMMAND) & ~COMMAND_INTX_DISABLE) | COMMAND_MEMORY | COMMAND_BUS_MASTER);
  }

  /** Whether the device has offered a feature that this driver knows. */
  protected negotiated(feature: number): boolean {
    const { words, page } = this.device;
    return (Atomics.load(words, page + (s.DRIVER_FEATURES >>> 2)) & feature) !== 0;
  }

  /** Tells the device of what is in a queue. It looks at once: it lives on this thread. */
  protected kick(queue: number): void {
    this.entered();
    const { words, page } = this.device;
    Atomics.or(words, page + (s.KICKED >>> 2), 1 << queue);
    this.device.poll();
  }

  /**
   * The driver, or the device that it drives, has failed: whatever is under way is answered with an error, once, and so
   * is whatever is asked for later.
   */
  fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = error instanceof Error ? error : new Error(String(error));
    this.onFailed(this.failure);
  }

  protected abstract onFailed(error: Error): void;

  /** What is still on its way between the device and who uses it through the monitor, in words. */
  abstract get goesOn(): string | undefined;

  /** Takes what the device has finished. */
  protected abstract finished(): void;

  /** Looks at the device now, rather than when its interrupt is heard. */
  look(): void {
    if (this.#closed || this.failure !== undefined) return;
    this.entered();
    this.attempt(() => {
      const { words, page } = this.device;
      // As reading the ISR status does: acknowledged before the queues are looked at.
      const isr = Atomics.exchange(words, page + (s.ISR >>> 2), 0);
      if ((isr & s.ISR_CONFIG) !== 0) this.configured();
      this.finished();
    });
  }

  /** What is thrown in the driver's own work is its failure. */
  protected attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Lets go of the device. */
  close(): void {
    this.#closed = true;
  }

  /** An interrupt comes amid the device's own work: what follows from it waits until that is done. */
  #soon(): void {
    if (this.#drains) return;
    this.#drains = true;
    queueMicrotask(() => {
      this.#drains = false;
      this.look();
    });
  }
}
