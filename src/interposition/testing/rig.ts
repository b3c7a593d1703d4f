/** One device of a kind, its guest, and traffic between guest and outside: what the suite for all kinds works with. */
import assert from 'node:assert/strict';
import type { VirtioDevice } from '../../computer/virtio/device.js';
import type { ComputerDevice, SwitchOptions, SwitchReport } from '../device.js';
import type { Driver } from '../driver/driver.js';
import { InterpositionBench, settle } from './bench.js';
import { Guest, type Manner } from './guest.js';
import type { Subject, Traffic } from './subject.js';

const QUEUE_SIZE = 16;
/** Turns of the event loop in which whatever is asked for is done. */
const PATIENCE = 3000;

export class Rig<T extends VirtioDevice = VirtioDevice, D extends Driver = Driver> {
  readonly bench = new InterpositionBench();
  /** Pages of the monitor's that are free when there is no device. */
  readonly free = this.bench.ground.frames.free;
  readonly device: ComputerDevice<T, D>;
  readonly guest: Guest;
  readonly traffic: Traffic;

  constructor(
    readonly subject: Subject<T, D>,
    readonly manner: Manner,
  ) {
    const made = subject.make();
    this.device = this.bench.add(subject.kind(), made.device, subject.slot);
    this.traffic = made.traffic(this.device.device);
    this.guest = new Guest(this.bench, subject.slot, manner);
  }

  /** The driver comes, and has all that it says at the beginning answered. */
  async bringUp(): Promise<void> {
    this.comeUp();
    await this.finish();
  }

  /** The driver comes. */
  comeUp(): void {
    this.guest.bringUp(this.subject.queues, QUEUE_SIZE);
    this.traffic.begin(this.guest);
  }

  /** Lets the driver take what is done until nothing is left; the interrupts it took for that. */
  async finish(): Promise<number> {
    const { guest, traffic } = this;
    const before = guest.interrupts;
    for (let i = 0; ; i++) {
      this.serve();
      if (traffic.left === 0) break;
      assert.ok(i < PATIENCE, `${traffic.left} of the ${this.subject.name}'s requests are lost`);
      await settle(1);
    }
    // What should not come any more comes now.
    await settle(4);
    this.serve();
    return guest.interrupts - before;
  }

  /** As an interrupt handler does: without an interrupt it does not look. */
  serve(): void {
    while (this.guest.interrupt() !== 0) this.traffic.take(this.guest);
  }

  /** Steps in, or away. */
  toggle(options?: SwitchOptions): Promise<SwitchReport> {
    return this.device.mode === 'direct' ? this.device.interpose(options) : this.device.stepAway(options);
  }

  /** Nothing was told of the device, and nothing of the monitor's ran where it should not. */
  check(): void {
    assert.deepEqual(this.bench.faults, []);
    assert.deepEqual(this.bench.failures, []);
    assert.equal(this.device.counters.monitorEntriesWhenDirect, 0);
  }

  /** Everything that the device took is given back. */
  async close(): Promise<void> {
    await this.device.close();
    assert.equal(this.bench.ground.frames.free, this.free, 'the monitor has all of its memory again');
  }
}

/** Waits for a switch while the driver goes on taking what is done. */
export async function across<R>(rig: Rig, switching: Promise<R>): Promise<R> {
  let over = false;
  const end = (): void => void (over = true);
  switching.then(end, end);
  for (let i = 0; !over; i++) {
    assert.ok(i < PATIENCE, 'the switch is not over');
    rig.serve();
    await settle(1);
  }
  return switching;
}
