import { VirtioBlock } from '../../computer/virtio/block.js';
import type { BlockBackend } from '../../computer/virtio/block-backend.js';
import { BLOCK_DRIVER_BYTES, BlockDriver } from '../driver/block.js';
import { ComputerDevice, type DeviceGround } from '../device.js';
import type { Kind } from '../kind.js';
import type { Route } from '../route.js';

/** How the monitor takes a disk's place. `through`: what it does with requests on their way to the driver. */
export function diskKind(through: (disk: BlockBackend) => BlockBackend): Kind<VirtioBlock, BlockDriver> {
  return {
    name: 'disk',
    driverBytes: BLOCK_DRIVER_BYTES,
    drive: (device, memory) => new BlockDriver(device, memory),
    emulate: (host, driver) => new VirtioBlock(host, through(driver)),
  };
}

/** A disk of the computer. */
export class DiskDevice extends ComputerDevice<VirtioBlock, BlockDriver> {
  constructor(id: string, ground: DeviceGround, make: (host: Route) => VirtioBlock) {
    super(
      id,
      ground,
      diskKind((disk) => disk),
      make,
    );
  }
}
