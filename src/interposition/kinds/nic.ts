import { VirtioNet } from '../../computer/virtio/net.js';
import { NET_DRIVER_BYTES, NetDriver } from '../driver/net.js';
import { ComputerDevice, type DeviceGround, type Use } from '../device.js';
import { InterpositionError } from '../errors.js';
import type { Kind } from '../kind.js';
import { NicPath, NicUser, nicRule } from '../path/nic-path.js';
import type * as n from '../path/nic-types.js';
import { FrameCounter } from '../path/nic-watch.js';
import { ratesOf, weightOf, type RateLimit } from '../path/options.js';
import type { Route } from '../route.js';

/** How the monitor takes a network card's place. `path`: the way of the frames between the OS and the driver. */
export function nicKind(path = new NicPath()): Kind<VirtioNet, NetDriver> {
  return {
    name: 'nic',
    driverBytes: NET_DRIVER_BYTES,
    drive: (device, memory) => new NetDriver(device, memory),
    emulate: (host, driver, real) => {
      const nic = new VirtioNet(host, real.options);
      path.connect(
        (frame) => driver.send(frame),
        () => driver.wanted(),
        {
          give: ({ frame, segment }) => nic.receive(frame, segment),
          acceptsLarge: () => nic.acceptsLarge,
          resume: () => nic.resume(),
        },
      );
      // What is only passed on is read to where it is sent from.
      nic.frameBuffer = (length) => (path.isPlain ? driver.buffer(length) : new Uint8Array(length));
      nic.onFrame = (frame, segment) => path.fromUser(path.owner, { frame, segment });
      nic.onRoom = () => path.room(path.owner);
      driver.onFrame = (frame) => path.fromCard(frame);
      driver.onRoom = () => path.cardHasRoom();
      // With others here large frames are taken, and cut for who does not take them.
      real.beyondAcceptsLarge = () => !path.isAlone || nic.acceptsLarge;
      return nic;
    },
    goesOn: () => path.goesOn,
    // What came for the OS and found no room comes first when the card is its own again.
    release: (real, driver) => {
      real.beyondAcceptsLarge = () => true;
      real.carry([...path.takeWaiting(), ...driver.takeWaiting()]);
    },
  };
}

/** A network card of the computer. What is done at it is done to all who use it, by the monitor, which steps in for it. */
export class NicDevice extends ComputerDevice<VirtioNet, NetDriver> {
  readonly #path: NicPath;
  #shares = 0;

  constructor(id: string, ground: DeviceGround, make: (host: Route) => VirtioNet, path = new NicPath()) {
    super(id, ground, nicKind(path), make);
    this.#path = path;
  }

  /**
   * Has every frame written down in the pcapng format, which Wireshark and tcpdump open, and counted: `sink` is called with
   * the file's head first, then with a block for each frame. What it throws ends only that.
   * Throws InterpositionError as `interpose` does.
   *
   *     const file = createWriteStream('nic.pcapng');
   *     const watch = await nic.watch((bytes) => file.write(bytes));
   */
  async watch(sink: (bytes: Uint8Array) => void): Promise<n.NicWatch> {
    const { counters, owner } = this.#path;
    const counter = new FrameCounter(sink);
    const use = await this.use(
      'frames are watched',
      () => {
        counter.begin(owner.name);
        counters.add(counter);
      },
      () => void counters.delete(counter),
    );
    const { counts, frames, bytes } = counter;
    return {
      ...use,
      counts,
      frames,
      bytes,
      get broken() {
        return counter.broken;
      },
    };
  }

  /**
   * Lets so many bytes and frames through in a second, each way; what comes sooner waits. Of several limits each holds.
   * Throws InterpositionError `invalid`, or as `interpose` does.
   *
   *     const limit = await nic.limit({ bytesPerSecond: 1e6 });
   */
  async limit(limit: RateLimit): Promise<Use> {
    const rates = ratesOf(limit);
    let end = none;
    return this.use(
      'frames are limited',
      () => void (end = this.#path.limit(rates)),
      () => end(),
    );
  }

  /**
   * Makes frames late, or has them get lost or come twice, by chance. Of several rules each holds.
   * Throws InterpositionError `invalid`, or as `interpose` does.
   *
   *     const rule = await nic.disturb({ latency: 40, jitter: 5, loss: 0.01 });
   */
  async disturb(disturbance: n.NicDisturbance): Promise<Use> {
    const rule = nicRule(disturbance);
    let end = none;
    return this.use(
      'frames are disturbed',
      () => void (end = this.#path.disturb(rule)),
      () => end(),
    );
  }

  /**
   * Has another OS instance use the card as well, under an address of its own. Throws InterpositionError `invalid`, or as
   * `interpose` does.
   *
   *     const shared = await nic.share();
   *     const second = await computer.boot({ image, network: shared });
   */
  async share({ mac, weight }: n.NicShareOptions = {}): Promise<n.SharedNic> {
    if (mac !== undefined && (mac.length !== 6 || (mac[0] & 1) !== 0)) {
      throw new InterpositionError('invalid', 'a MAC address has six bytes, and is no group address');
    }
    const path = this.#path;
    const user = new NicUser(`share ${++this.#shares}`, weightOf(weight));
    let isOver = false;
    let unplug = none;
    const use = await this.use(
      'another OS instance uses it',
      () => path.join(user),
      () => {
        isOver = true;
        unplug();
        path.leave(user);
      },
    );
    return {
      ...use,
      of: this.id,
      mac,
      plug: (nic, { mac: address, ip }) => {
        if (isOver) throw new InterpositionError('closed', `${this.id} is shared no more`);
        if (user.end !== undefined)
          throw new InterpositionError('in-use', `another card is plugged in as ${user.name}`);
        path.name(
          user,
          address.reduce((number, byte) => number * 256 + byte, 0),
          ip,
        );
        unplug = plugIn(path, user, nic);
        return unplug;
      },
    };
  }
}

/** The cable between a second user's card and the path; answers what pulls it out. */
function plugIn(path: NicPath, user: NicUser, nic: VirtioNet): () => void {
  user.end = {
    give: ({ frame, segment }) => nic.receive(frame, segment),
    acceptsLarge: () => nic.acceptsLarge,
    resume: () => nic.resume(),
  };
  nic.onFrame = (frame, segment) => path.fromUser(user, { frame, segment });
  nic.onRoom = () => path.room(user);
  return () => {
    if (user.end === undefined) return;
    user.end = undefined;
    nic.onFrame = () => true;
    nic.onRoom = () => undefined;
  };
}

const none = (): void => undefined;
