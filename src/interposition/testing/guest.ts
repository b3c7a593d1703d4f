/** A guest's driver as the suite for all kinds of devices needs it: features, rings and interrupts as it is told. */
import { interruptOf } from '../../computer/pci/host.js';
import { VIRTIO_F_EVENT_IDX } from '../../computer/virtio/state.js';
import type { Buffer, DriverQueue, TestDriver } from '../../computer/virtio/testing/driver.js';
import { settle, type InterpositionBench } from './bench.js';

/** How a driver drives. */
export interface Manner {
  /** Features that it takes of those that are offered, bits 0 … 31. */
  readonly features: number;
  /** Every second chain lies in an indirect table, if that was negotiated. */
  readonly indirect: boolean;
}

export class Guest {
  driver!: TestDriver;
  queues: DriverQueue[] = [];
  /** Interrupts taken since the beginning. */
  interrupts = 0;
  #chains = 0;

  constructor(
    readonly bench: InterpositionBench,
    readonly slot: number,
    readonly manner: Manner,
  ) {}

  get eventIdx(): boolean {
    return (this.manner.features & VIRTIO_F_EVENT_IDX) !== 0;
  }

  /** Finds the device, negotiates, sets `count` queues up. */
  bringUp(count: number, size: number): void {
    this.driver = this.bench.driver(undefined, this.slot);
    if (this.driver.negotiate(this.manner.features) !== 0xb) throw new Error('the features were refused');
    this.queues = [];
    for (let q = 0; q < count; q++) {
      const { driver } = this;
      driver.write(driver.common + 0x16, 2, q);
      const most = driver.read(driver.common + 0x18, 2);
      const queue = driver.queue(q, { eventIdx: this.eventIdx, size: Math.min(size, most) });
      this.queues.push(queue);
      if (this.eventIdx) queue.interruptAfter(0);
    }
    const { plic } = this.bench.board;
    const source = interruptOf(this.slot);
    plic.write(4 * source, 4, 1);
    plic.write(0x2000 + 4 * (source >> 5), 4, 1 << (source & 31));
    this.driver.start();
  }

  /** Makes a chain available, and kicks if the device wants that. */
  put(q: number, buffers: readonly Buffer[]): number {
    const queue = this.queues[q];
    if (queue === undefined) throw new RangeError(`no queue ${q}`);
    const head = queue.addBuffers(buffers, this.manner.indirect && ++this.#chains % 2 === 0);
    if (!this.eventIdx || queue.kickWanted) queue.kick();
    return head;
  }

  /** What the device has finished in a queue; asks to be interrupted for the next. */
  harvest(q: number): { head: number; length: number }[] {
    const queue = this.queues[q];
    if (queue === undefined) throw new RangeError(`no queue ${q}`);
    const done = queue.harvest();
    if (!this.eventIdx) return done;
    queue.interruptAfter(0);
    return [...done, ...queue.harvest()];
  }

  /** As a handler does, if there is an interrupt: what the ISR status was, 0 if there is none. */
  interrupt(): number {
    const context = 0x20_0000 + 4;
    const { plic } = this.bench.board;
    const source = plic.read(context, 4);
    if (source === 0) return 0;
    this.interrupts++;
    const { isr } = this.driver;
    plic.write(context, 4, source);
    return isr;
  }

  /** Resets the device as Linux does: the reset is done when the status reads 0. */
  async reset(): Promise<void> {
    this.driver.status = 0;
    for (let i = 0; this.driver.status !== 0; i++) {
      if (i > 2000) throw new Error('the reset is not done');
      await settle(1);
    }
  }

  /** What the driver finds in the registers. */
  look(): unknown {
    const { driver } = this;
    const config = Array.from({ length: 64 }, (_, i) => driver.read(driver.config + i, 1));
    return {
      status: driver.status,
      features: driver.features,
      // Read twice, as is due.
      generation: [driver.read(driver.common + 0x15, 1), driver.read(driver.common + 0x15, 1)],
      id: driver.deviceId,
      config,
    };
  }
}
