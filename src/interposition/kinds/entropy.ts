import { VirtioEntropy } from '../../computer/virtio/entropy.js';
import { ENTROPY_DRIVER_BYTES, EntropyDriver } from '../driver/entropy.js';
import type { Kind } from '../kind.js';

/** How the monitor takes an entropy device's place. */
export function entropyKind(): Kind<VirtioEntropy, EntropyDriver> {
  return {
    name: 'entropy',
    driverBytes: ENTROPY_DRIVER_BYTES,
    drive: (device, memory) => new EntropyDriver(device, memory),
    emulate: (host, driver) => new VirtioEntropy(host, (into) => driver.fill(into)),
  };
}
