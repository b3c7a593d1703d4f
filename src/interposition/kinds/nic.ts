import { VirtioNet } from '../../computer/virtio/net.js';
import { NET_DRIVER_BYTES, NetDriver } from '../driver/net.js';
import { ComputerDevice, type DeviceGround, type Use } from '../device.js';
import type { Kind } from '../kind.js';
import { NicPath, NicUser, nicRule } from '../path/nic-path.js';
import { macOf, NicShare } from '../path/nic-share.js';
import type * as n from '../path/nic-types.js';
import { FrameCounter } from '../path/nic-watch.js';
import { positive, ratesOf, weightOf, type RateLimit } from '../path/options.js';
import type { Route } from '../route.js';

/** How the monitor takes a network card's place. `path`: what it does with frames on their way. */
export function nicKind(path = new NicPath()): Kind<VirtioNet, NetDriver> {
  return nicKindOver(() => path);
}

function nicKindOver(pathOf: () => NicPath): Kind<VirtioNet, NetDriver> {
  return {
    name: 'nic',
    driverBytes: NET_DRIVER_BYTES,
    drive: (device, memory) => new NetDriver(device, memory),
    emulate: (host, driver, real) => {
      const nic = new VirtioNet(host, real.options);
      const path = pathOf();
      const { owner } = path;
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
      nic.onFrame = (frame, segment) => path.fromUser(owner, { frame, segment });
      nic.onRoom = () => path.room(owner);
      driver.onFrame = (frame) => path.fromCard(frame);
      driver.onRoom = () => path.cardHasRoom();
      // With others here large frames are taken, and cut for who does not take them.
      real.beyondAcceptsLarge = () => !path.isAlone || nic.acceptsLarge;
      return nic;
    },
    goesOn: () => pathOf().goesOn,
    // What came for the OS and found no room comes first when the card is its own again.
    release: (real, driver) => {
      real.beyondAcceptsLarge = () => true;
      real.carry([...pathOf().takeWaiting(), ...driver.takeWaiting()]);
    },
  };
}

/** A network card of the computer. What is done at it is done to all who use it, by the monitor, which steps in for it. */
export class NicDevice extends ComputerDevice<VirtioNet, NetDriver> {
  readonly #path = new NicPath();
  #shares = 0;

  #release: (() => void) | undefined;

  /** `release` lets go of what is behind the card, when it is taken out of the computer. */
  constructor(id: string, ground: DeviceGround, make: (host: Route) => VirtioNet, release?: () => void) {
    super(
      id,
      ground,
      nicKindOver(() => this.#path),
      make,
    );
    this.#path.owner.mac = macOf(this.device.options.mac);
    this.#release = release;
  }

  override async close(): Promise<void> {
    await super.close();
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }

  /**
   * Has every frame written down as pcapng, which Wireshark opens: the first call has the file's beginning, each later one
   * a frame, or a further user of the card. A frame between two who share the card is there twice, once for each. And
   * counts them. Throws InterpositionError as `interpose` does.
   *
   *     const file = createWriteStream('nic.pcapng');
   *     const watch = await nic.watch((bytes) => file.write(bytes));
   */
  async watch(sink: (bytes: Uint8Array) => void): Promise<n.NicWatch> {
    const { counters, owner } = this.#path;
    const counter = new FrameCounter(sink);
    const { counts, frames, bytes } = counter;
    const name = `${this.id} of ${this.user ?? owner.name}`;
    const begin = (): (() => void) => {
      counter.begin(owner.name, name);
      counters.add(counter);
      return () => void counters.delete(counter);
    };
    return this.use('frames are watched', begin, {
      counts,
      frames,
      bytes,
      get broken() {
        return counter.broken;
      },
    });
  }

  /**
   * Lets so many bytes and frames through in a second, each way, of all who use the card; what comes sooner waits, and goes
   * on at once when the limit ends. Of several limits each holds.
   * Throws InterpositionError `invalid`, or as `interpose` does.
   */
  async limit(limit: RateLimit): Promise<Use> {
    const rates = ratesOf(limit);
    return this.use('frames are limited', () => this.#path.limit(rates));
  }

  /**
   * Makes frames late, loses or doubles them, by rule. Of several rules each holds.
   * Throws InterpositionError `invalid`, or as `interpose` does.
   *
   *     const rule = await nic.disturb({ latency: 40, jitter: 10, loss: 0.01 });
   */
  async disturb(rule: n.NicDisturbance): Promise<Use> {
    const checked = nicRule(rule);
    return this.use('frames are disturbed', () => this.#path.disturb(checked));
  }

  /**
   * The card as another OS instance uses it, under an address of its own. Throws InterpositionError `invalid`, or as
   * `interpose` does.
   *
   *     const second = await computer.boot({ image, network: await nic.share() });
   */
  async share(options: n.NicShareOptions = {}): Promise<n.SharedNic> {
    const path = this.#path;
    const weight = weightOf(options.weight);
    const bandwidth = positive('bandwidth', options.bandwidth);
    const user = new NicUser(`share ${++this.#shares} of ${this.id}`, weight, bandwidth);
    if (options.mac !== undefined) path.name(user, macOf(options.mac), undefined);
    const cable = new NicShare(this.id, path, user);
    const begin = (): (() => void) => {
      path.join(user);
      return () => {
        cable.close();
        path.leave(user);
      };
    };
    return this.use('another OS instance uses it', begin, {
      of: this.id,
      mac: options.mac?.slice(),
      plug: (nic: VirtioNet, address: n.NicAddress) => cable.plug(nic, address),
    });
  }
}
