/** The switch's side of a port: what waits for its station, and what it is allowed to say. */
import type { Subnet } from './address.js';
import { FRAME_COST, Lanes } from './lanes.js';
import type { GateTarget, Port, PortAddresses, PortCounters, PortOptions, Release } from './port.js';
import type { Turns } from './turns.js';

const DEFAULT_QUEUE_BYTES = 4 * 1024 * 1024;
/** What a station is given before others have their turn: as a lane's round (lanes.ts), four times over. */
const VISIT = 256 * 1024;

export interface SwitchSide {
  forward(from: SwitchPort, frame: Uint8Array): boolean;
  deliver(to: SwitchPort): void;
  close(port: SwitchPort): void;
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

  constructor(
    /** Not 0, and no other port's: what shares of tables are counted by. */
    readonly station: number,
    options: PortOptions,
    side: SwitchSide,
  ) {
    this.name = options.name;
    this.macs = new Set(options.macs);
    this.claimsNone = options.claimsNone ?? false;
    this.waiting = new Lanes(options.queueBytes ?? DEFAULT_QUEUE_BYTES);
    this.#switch = side;
    this.addresses = {
      ...side.common,
      register: (target) => side.register(this, target),
      has: (ip) => side.has(this, ip),
      route: (subnet) => side.route(this, subnet),
    };
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
    return this.full || this.#onFrame === undefined;
  }

  send(frame: Uint8Array): boolean {
    return this.#closed || this.#switch.forward(this, frame);
  }

  ready(): void {
    this.full = false;
    if (this.waiting.frames > 0) this.#switch.deliver(this);
  }

  close(): void {
    this.#closed = true;
    this.#onFrame = undefined;
    this.#switch.close(this);
  }

  /** Offers what waits until it is gone, the station is full, or others have their turn; true: call it again then. */
  drain(turns: Turns): boolean {
    let left = VISIT;
    while (!this.full && this.#onFrame !== undefined) {
      const frame = this.waiting.peek();
      if (frame === undefined) return false;
      // Said before the call: the station may call ready() from within.
      this.full = true;
      if (!this.#onFrame(frame)) return false;
      this.full = false;
      if (this.#closed) return false;
      this.waiting.shift(frame);
      this.counters.delivered++;
      this.counters.deliveredBytes += frame.length;
      left -= frame.length + FRAME_COST;
      if (left <= 0 || !turns.hasTime) return this.waiting.frames > 0;
    }
    return false;
  }
}
