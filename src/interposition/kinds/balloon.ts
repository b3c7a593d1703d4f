import { VirtioBalloon } from '../../computer/virtio/balloon.js';
import { BALLOON_DRIVER_BYTES, BalloonDriver } from '../driver/balloon.js';
import type { Kind } from '../kind.js';

/** How the monitor takes a memory balloon's place. */
export function balloonKind(): Kind<VirtioBalloon, BalloonDriver> {
  let emulation: VirtioBalloon | undefined;
  return {
    name: 'balloon',
    driverBytes: BALLOON_DRIVER_BYTES,
    drive: (device, memory) => new BalloonDriver(device, memory, () => emulation?.askStatistics()),
    emulate: (host, driver, real) => {
      const balloon = new VirtioBalloon(host, driver);
      balloon.goOnAsking(real);
      balloon.onStatistics = () => driver.provide(balloon.statisticsBytes);
      emulation = balloon;
      return balloon;
    },
    release: (real) => {
      if (emulation !== undefined) real.goOnAsking(emulation);
      emulation = undefined;
    },
  };
}
