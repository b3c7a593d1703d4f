/** What an OS sees of a device that no switch may change: whether it was reset, its status, what was negotiated. */
import * as s from '../computer/virtio/state.js';
import type { ComputerDevice } from './device.js';

/** A device as its OS finds it. */
export interface DeviceView {
  /** Counts resets. */
  readonly generation: number;
  /** Device status (virtio 1.2, 2.1). */
  readonly status: number;
  /** Features that the driver has accepted, low and high word. */
  readonly features: readonly [number, number];
  readonly configGeneration: number;
}

/** Looks into the page in which the OS finds the device's state, whoever answers there. */
export function viewOf(device: ComputerDevice): DeviceView {
  const { words } = device.device;
  const load = (at: number): number => Atomics.load(words, (device.statePage + at) >>> 2);
  return {
    generation: load(s.GENERATION),
    status: load(s.DEVICE_STATUS),
    features: [load(s.DRIVER_FEATURES), load(s.DRIVER_FEATURES + 4)],
    configGeneration: load(s.CONFIG_GENERATION),
  };
}

/** Resets between two views, in which a changed status or negotiation counts as one: without a reset it cannot change. */
export function resetsBetween(before: DeviceView, after: DeviceView): number {
  const resets = (after.generation - before.generation) >>> 0;
  const same = before.status === after.status && before.features.every((word, i) => word === after.features[i]);
  return resets === 0 && !same ? 1 : resets;
}
