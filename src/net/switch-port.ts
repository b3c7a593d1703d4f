/** The switch's side of a port: what waits for its station, and what it is allowed to say. */
import type { Subnet } from './address.js';
import type { Clock } from './clock.js';
import { NetError } from './errors.js';
import { FRAME_COST, Lanes } from './lanes.js';
import { BURST, Paced } from './paced.js';
import type { GateTarget, Port, PortAddresses, PortCounters, PortOptions, PortShare, Release } from './port.js';
import { checkShare } from './share.js';
import { TokenBucket } from './token-bucket.js';
import type { Turns } from './turns.js';

const DEFAULT_QUEUE_BYTES = 4 * 1024 * 1024;
/** What a station is given before others have their turn: as a lane's round (lanes.ts), four times over. */
const VISIT = 256 * 1024;

export interface SwitchSide {
  forward(from: SwitchPort, frame: Uint8Array): boolean;
  deliver(to: SwitchPort): void;
  close(port: SwitchPort): void;
  /** Weights have changed. */
  weigh(): void;
  /** None: time is simulated, and nothing can wait for it. */
  readonly clock: Clock | undefined;
  register(port: SwitchPort, target: GateTarget): void;
  has(port: SwitchPort, ip: number): boolean;
  route(port: SwitchPort, subnet: Subnet): void;
  /** What is the same for every port. */
  readonly common: Omit<PortAddresses, 'register' | 'has' | 'route'>;
}

export class SwitchPort implements Port {
  readonly name: string;
  readonly macs: ReadonlySet<number>;
  readonly claimsNone: boolean;
  readonly waiting: Lanes<SwitchPort>;
  /** In the switch's list of ports to deliver to. */
  active = false;
  /** The station said it has no room. */
  full = false;
  /** The addresses of the last frame that was admitted, and the registry's version then: most frames are like the last. */
  admittedMac = -1;
  admittedIp = -1;
  admittedAt = -1;
  acceptsLarge: (() => boolean) | undefined;
  onReady: (() => void) | undefined;
  onHold: ((target: GateTarget) => void) | undefined;
  onRelease: ((release: Release) => void) | undefined;
  readonly counters: PortCounters = { delivered: 0, deliveredBytes: 0, overflowed: 0, refused: 0, notCarried: 0 };
  readonly addresses: PortAddresses;
  #onFrame: ((frame: Uint8Array) => boolean) | undefined;
  readonly #switch: SwitchSide;
  #closed = false;
  weight = 1;
  /** Of what it sends, and of what it is given, if there is a limit. */
  #sends: Paced | undefined;
  #gets: TokenBucket | undefined;
  /** What is for it waits for time to go by; the function takes that back. */
  #later: (() => void) | undefined;

  constructor(
    /** Not 0, and no other port's: what shares of tables are counted by. */
    readonly station: number,
    options: PortOptions,
    side: SwitchSide,
  ) {
    this.name = options.name;
    this.macs = new Set(options.macs);
    this.claimsNone = options.claimsNone ?? false;
    this.waiting = new Lanes(options.queueBytes ?? DEFAULT_QUEUE_BYTES, (from) => from.weight);
    this.#switch = side;
    this.addresses = {
      ...side.common,
      register: (target) => side.register(this, target),
      has: (ip) => side.has(this, ip),
      route: (subnet) => side.route(this, subnet),
    };
    this.setShare(options);
  }

  get onFrame(): ((frame: Uint8Array) => boolean) | undefined {
    return this.#onFrame;
  }

  set onFrame(handler: ((frame: Uint8Array) => boolean) | undefined) {
    this.#onFrame = handler;
    if (handler !== undefined && this.waiting.frames > 0) this.#switch.deliver(this);
  }

  /** Whether frames for it stay where they are for now. */
  get stands(): boolean {
    return this.full || this.#onFrame === undefined || this.#later !== undefined;
  }

  send(frame: Uint8Array): boolean {
    if (this.#closed) return true;
    if (this.#sends === undefined) return this.#switch.forward(this, frame);
    const { taken, roomy } = this.#sends.send(frame);
    if (!taken) this.counters.overflowed++;
    return roomy;
  }

  get share(): PortShare {
    const { weight } = this;
    return this.#sends === undefined ? { weight } : { weight, bandwidth: this.#sends.rate };
  }

  setShare({ bandwidth, weight = 1 }: PortShare): void {
    const { clock } = this.#switch;
    checkShare({ weight, ...(bandwidth !== undefined && { bandwidth }) });
    if (bandwidth !== undefined && clock === undefined) {
      throw new NetError('BAD_CONFIG', 'a bandwidth needs a switch with a clock');
    }
    this.weight = weight;
    this.#switch.weigh();
    const before = this.#sends;
    this.#sends = this.#gets = undefined;
    if (bandwidth !== undefined && clock !== undefined) {
      const pass = (frame: Uint8Array): boolean => this.#closed || this.#switch.forward(this, frame);
      this.#sends = new Paced(clock, bandwidth, pass, () => this.onReady?.());
      this.#gets = new TokenBucket(bandwidth, BURST, clock.now());
    }
    before?.end();
    this.#goOn();
  }

  /** What waits for time to go by is looked at again. */
  #goOn(): void {
    if (this.#later === undefined) return;
    this.#later();
    this.#later = undefined;
    if (this.waiting.frames > 0) this.#switch.deliver(this);
  }

  ready(): void {
    this.full = false;
    if (this.waiting.frames > 0) this.#switch.deliver(this);
  }

  close(): void {
    this.#closed = true;
    this.#onFrame = undefined;
    this.#later?.();
    this.#sends?.close();
    this.#switch.close(this);
  }

  /** Offers what waits until it is gone, the station is full, or others have their turn; true: call it again then. */
  drain(turns: Turns): boolean {
    let left = VISIT;
    while (!this.full && this.#onFrame !== undefined) {
      const frame = this.waiting.peek();
      if (frame === undefined || this.#waitsForTime()) return false;
      // Said before the call: the station may call ready() from within.
      this.full = true;
      if (!this.#onFrame(frame)) return false;
      this.full = false;
      if (this.#closed) return false;
      this.waiting.shift(frame);
      this.#gets?.take(frame.length);
      this.counters.delivered++;
      this.counters.deliveredBytes += frame.length;
      left -= frame.length + FRAME_COST;
      if (left <= 0 || !turns.hasTime) return this.waiting.frames > 0;
    }
    return false;
  }

  #waitsForTime(): boolean {
    const { clock } = this.#switch;
    const wait = clock === undefined ? 0 : (this.#gets?.wait(clock.now()) ?? 0);
    if (wait === 0) return false;
    this.#later ??= clock?.after(wait, () => this.#goOn());
    return true;
  }
}
