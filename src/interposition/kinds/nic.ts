import { VirtioNet } from '../../computer/virtio/net.js';
import { NET_DRIVER_BYTES, NetDriver, type PassingFrame } from '../driver/net.js';
import { ComputerDevice, type DeviceGround, type Use } from '../device.js';
import { InterpositionError } from '../errors.js';
import type { Kind } from '../kind.js';
import type * as n from '../path/nic-types.js';
import type { RateLimit } from '../path/options.js';
import type { Route } from '../route.js';

/** What the monitor does with frames on their way. */
export interface FramePath {
  /** The emulation stands: `toCard` sends a frame outside, `toGuest` gives one to the OS; false: no more for now. */
  connect(toCard: (frame: PassingFrame) => boolean, toGuest: (frame: PassingFrame) => boolean): void;
  /** A frame from the OS. False: taken, but no more until the path asks. */
  fromGuest(frame: PassingFrame): boolean;
  /** A frame from outside. False: not taken. */
  fromCard(frame: PassingFrame): boolean;
}

/** Frames pass as they are. */
export function straight(): FramePath {
  let toCard: (frame: PassingFrame) => boolean = () => true;
  let toGuest: (frame: PassingFrame) => boolean = () => true;
  return {
    connect: (card, guest) => {
      toCard = card;
      toGuest = guest;
    },
    fromGuest: (frame) => toCard(frame),
    fromCard: (frame) => toGuest(frame),
  };
}

/** How the monitor takes a network card's place. */
export function nicKind(path: FramePath = straight()): Kind<VirtioNet, NetDriver> {
  return {
    name: 'nic',
    driverBytes: NET_DRIVER_BYTES,
    drive: (device, memory) => new NetDriver(device, memory),
    emulate: (host, driver, real) => {
      const nic = new VirtioNet(host, real.options);
      path.connect(
        (frame) => driver.send(frame),
        ({ frame, segment }) => nic.receive(frame, segment),
      );
      nic.onFrame = (frame, segment) => path.fromGuest({ frame, segment });
      nic.onRoom = () => driver.wanted();
      driver.onFrame = (frame) => path.fromCard(frame);
      driver.onRoom = () => nic.resume();
      real.beyondAcceptsLarge = () => nic.acceptsLarge;
      return nic;
    },
    // What came for the OS and found no room comes first when the card is its own again.
    release: (real, driver) => {
      real.beyondAcceptsLarge = () => true;
      real.carry(driver.takeWaiting());
    },
  };
}

/** A network card of the computer. */
export class NicDevice extends ComputerDevice<VirtioNet, NetDriver> {
  constructor(id: string, ground: DeviceGround, make: (host: Route) => VirtioNet) {
    super(id, ground, nicKind(), make);
  }

  watch(_sink: (bytes: Uint8Array) => void): Promise<n.NicWatch> {
    return notYet();
  }
  limit(_limit: RateLimit): Promise<Use> {
    return notYet();
  }
  disturb(_rule: n.NicDisturbance): Promise<Use> {
    return notYet();
  }
  share(_options: n.NicShareOptions = {}): Promise<n.SharedNic> {
    return notYet();
  }
}

const notYet = (): Promise<never> => Promise.reject(new InterpositionError('invalid', 'this cannot be done yet'));
