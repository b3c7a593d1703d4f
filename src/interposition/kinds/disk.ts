import { VirtioBlock } from '../../computer/virtio/block.js';
import type { BlockBackend } from '../../computer/virtio/block-backend.js';
import { BLOCK_DRIVER_BYTES, BlockDriver } from '../driver/block.js';
import { ComputerDevice, type DeviceGround, type Use } from '../device.js';
import { InterpositionError } from '../errors.js';
import type { Kind } from '../kind.js';
import type * as d from '../path/disk-types.js';
import type { RateLimit } from '../path/options.js';
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

  watch(_listener: (record: d.DiskRecord) => void): Promise<d.DiskWatch> {
    return notYet();
  }
  limit(_limit: RateLimit): Promise<Use> {
    return notYet();
  }
  disturb(_rule: d.DiskDisturbance): Promise<Use> {
    return notYet();
  }
  share(_options: d.DiskShareOptions): Promise<d.SharedDisk> {
    return notYet();
  }
  moveTo(_target: BlockBackend, _options: d.MoveOptions = {}): Promise<d.MoveReport> {
    return notYet();
  }
}

const notYet = (): Promise<never> => Promise.reject(new InterpositionError('invalid', 'this cannot be done yet'));
