/** A bad cable: a switch port whose frames are lost, doubled and overtaken, both ways. */
import type { Clock } from '../clock.js';
import type { Port } from '../port.js';

export interface Impairment {
  /** Probabilities per frame. */
  readonly loss?: number;
  readonly duplicate?: number;
  readonly reorder?: number;
  /** Milliseconds a frame takes, and those more that a frame takes which others overtake. */
  readonly delay: number;
  readonly lag?: number;
  readonly random: () => number;
  /** A frame to drop whatever the dice say. */
  readonly drop?: (frame: Uint8Array, outbound: boolean) => boolean;
}

export interface ImpairedPort extends Port {
  readonly tally: { lost: number; doubled: number; overtaken: number };
}

export function impair(port: Port, clock: Clock, how: Impairment): ImpairedPort {
  const tally = { lost: 0, doubled: 0, overtaken: 0 };
  let receiver: ((frame: Uint8Array) => boolean) | undefined;
  const carry = (frame: Uint8Array, outbound: boolean, deliver: (frame: Uint8Array) => void) => {
    if (how.drop?.(frame, outbound) === true || how.random() < (how.loss ?? 0)) {
      tally.lost++;
      return;
    }
    let delay = how.delay;
    if (how.random() < (how.reorder ?? 0)) {
      tally.overtaken++;
      delay += (how.lag ?? how.delay * 3) * how.random();
    }
    clock.after(delay, () => deliver(frame));
    if (how.random() < (how.duplicate ?? 0)) {
      tally.doubled++;
      clock.after(delay + how.delay * how.random(), () => deliver(frame));
    }
  };
  return {
    tally,
    name: port.name,
    counters: port.counters,
    addresses: port.addresses,
    get share() {
      return port.share;
    },
    setShare: (share) => port.setShare(share),
    send: (frame) => {
      carry(frame, true, (f) => port.send(f));
      return true;
    },
    get acceptsLarge() {
      return port.acceptsLarge;
    },
    set acceptsLarge(accepts) {
      port.acceptsLarge = accepts;
    },
    get onFrame() {
      return receiver;
    },
    set onFrame(handler) {
      receiver = handler;
      port.onFrame = (frame) => {
        carry(frame, false, (f) => receiver?.(f));
        return true;
      };
    },
    get onReady() {
      return port.onReady;
    },
    set onReady(handler) {
      port.onReady = handler;
    },
    get onHold() {
      return port.onHold;
    },
    set onHold(handler) {
      port.onHold = handler;
    },
    get onRelease() {
      return port.onRelease;
    },
    set onRelease(handler) {
      port.onRelease = handler;
    },
    ready: () => port.ready(),
    close: () => port.close(),
  };
}
