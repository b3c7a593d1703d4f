import type { DeviceHost, VirtioDevice } from '../computer/virtio/device.js';
import type { Driver } from './driver/driver.js';
import type { MonitorMemory } from './monitor-memory.js';

/** What kinds of devices a computer has. */
export type DeviceKindName = 'disk' | 'nic' | 'console' | 'entropy' | 'balloon';

/** How the monitor takes the place of a kind of device. */
export interface Kind<T extends VirtioDevice, D extends Driver> {
  readonly name: DeviceKindName;
  /** Bytes of memory that the driver needs. */
  readonly driverBytes: number;
  /** Takes the device over, which stands still; its state page is the driver's from now on. */
  drive(device: T, memory: MonitorMemory): D;
  /** Makes the device that goes on, for the OS, from the state in `host`'s page; what it is asked for it asks of the driver. */
  emulate(host: DeviceHost, driver: D, real: T): VirtioDevice;
  /** What is still on its way in what lies between emulation and driver, in words. */
  goesOn?(): string | undefined;
  /** The driver lets go: what it has taken from the device and not passed on goes back, or on. */
  release?(device: T, driver: D): void;
}
