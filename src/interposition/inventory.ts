/**
 * The devices that the computer has. The monitor alone knows all of them; an OS instance finds those it was given.
 */
import { VirtioBalloon, type BalloonPages } from '../computer/virtio/balloon.js';
import type { BlockBackend } from '../computer/virtio/block-backend.js';
import { VirtioBlock } from '../computer/virtio/block.js';
import { VirtioConsole, type ConsoleOptions } from '../computer/virtio/console.js';
import type { VirtioDevice } from '../computer/virtio/device.js';
import { VirtioEntropy } from '../computer/virtio/entropy.js';
import { VirtioNet, type NetOptions } from '../computer/virtio/net.js';
import type { Vmm } from '../partition/vmm.js';
import { ComputerDevice, type DeviceGround } from './device.js';
import type { BalloonDriver } from './driver/balloon.js';
import type { ConsoleDriver } from './driver/console.js';
import type { Driver } from './driver/driver.js';
import type { EntropyDriver } from './driver/entropy.js';
import { InterpositionError } from './errors.js';
import type { DeviceKindName, Kind } from './kind.js';
import { balloonKind } from './kinds/balloon.js';
import { consoleKind } from './kinds/console.js';
import { DiskDevice } from './kinds/disk.js';
import { entropyKind } from './kinds/entropy.js';
import { NicDevice } from './kinds/nic.js';
import type { Route } from './route.js';

/** A console of the computer. */
export type ConsoleDevice = ComputerDevice<VirtioConsole, ConsoleDriver>;
/** An entropy device of the computer. */
export type EntropyDevice = ComputerDevice<VirtioEntropy, EntropyDriver>;
/** A memory balloon of the computer. */
export type BalloonDevice = ComputerDevice<VirtioBalloon, BalloonDriver>;

/** What the devices of a VMM's computer need of it. */
export function groundOf({ machine, monitorFrames, turns, platform }: Vmm): DeviceGround {
  return { machine, frames: monitorFrames, turns, soon: (run) => platform.soon(run) };
}

/** A computer's devices, by their names. */
export class Devices implements Iterable<ComputerDevice> {
  readonly #ground: DeviceGround;
  readonly #devices = new Map<string, ComputerDevice>();
  readonly #counts = new Map<DeviceKindName, number>();

  constructor(ground: DeviceGround) {
    this.#ground = ground;
  }

  [Symbol.iterator](): IterableIterator<ComputerDevice> {
    return this.#devices.values();
  }

  get size(): number {
    return this.#devices.size;
  }

  /** Throws InterpositionError `invalid` if there is none of that name. */
  get(id: string): ComputerDevice {
    const device = this.#devices.get(id);
    if (device === undefined) {
      const known = [...this.#devices.keys()].join(', ');
      throw new InterpositionError('invalid', `the computer has no device ${id}; it has ${known || 'none'}`);
    }
    return device;
  }

  /**
   * A disk over a backend; `release` lets go of what is behind it, when the disk has moved or is removed.
   * Throws InterpositionError `no-room`.
   */
  addDisk(backend: BlockBackend, release?: () => Promise<void>): DiskDevice {
    const make = (host: Route): VirtioBlock => new VirtioBlock(host, backend);
    return this.#add(new DiskDevice(this.#name('disk'), this.#ground, make, release));
  }

  /** `release` lets go of what is behind the card, when it is removed. Throws InterpositionError `no-room`. */
  addNic(options: NetOptions, release?: () => void): NicDevice {
    return this.#add(new NicDevice(this.#name('nic'), this.#ground, (host) => new VirtioNet(host, options), release));
  }

  addConsole(options: ConsoleOptions): ConsoleDevice {
    return this.#plain(consoleKind(), (host) => new VirtioConsole(host, options));
  }

  /** `source` fills an array with random bytes. */
  addEntropy(source: (into: Uint8Array) => void): EntropyDevice {
    return this.#plain(entropyKind(), (host) => new VirtioEntropy(host, source));
  }

  /** A balloon for the memory that `pages` are of: it goes with that memory, to whoever has it. */
  addBalloon(pages: BalloonPages): BalloonDevice {
    return this.#plain(balloonKind(), (host) => new VirtioBalloon(host, pages));
  }

  /** Takes a device out of the computer; whoever had it finds it no more. */
  async remove(device: ComputerDevice): Promise<void> {
    if (this.#devices.get(device.id) === device) this.#devices.delete(device.id);
    await device.close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#devices.values()].map((device) => this.remove(device)));
  }

  #plain<T extends VirtioDevice, D extends Driver>(kind: Kind<T, D>, make: (host: Route) => T): ComputerDevice<T, D> {
    return this.#add(new ComputerDevice(this.#name(kind.name), this.#ground, kind, make));
  }

  #add<C extends { readonly id: string }>(device: C & ComputerDevice): C {
    this.#devices.set(device.id, device);
    return device;
  }

  #name(kind: DeviceKindName): string {
    const n = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, n + 1);
    return `${kind}${n}`;
  }
}
