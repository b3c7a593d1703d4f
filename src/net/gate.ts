/**
 * A gate holds the traffic of one address while its owner moves from one switch port to another, and afterwards keeps
 * the place it left from speaking in its name.
 *
 *                    before hold       while held                        after release(to)
 *   frames to it     forwarded         queued                            queue, then forwarded to `to`
 *   frames from it
 *     old place      forwarded         dropped                           dropped, unless `to` is the old place
 *     other places   (nobody)          queued                            those of `to` forwarded, others dropped
 *
 * A hold is a clean cut: whatever the old kernel still sends after it (timers, paced queues) never happened, so nobody
 * can acknowledge what the state that is about to be read does not know to be sent. Such an acknowledgment would be
 * refused by the restored connection, forever. Hence: freeze, hold, read the state; restore, release.
 */
import { Queue } from './queue.js';
import type { GateTarget, Port } from './port.js';
import { parseArp } from './wire/arp.js';
import { get16, get32, getMac } from './wire/bytes.js';
import { TYPE_ARP, TYPE_IPV4 } from './wire/ethernet.js';

/** Holds the traffic of one address until it is let go, at the port where its owner is then. */
export interface Gate {
  readonly target: GateTarget;
  /** Frames waiting, both ways. */
  readonly queued: number;
  /** Frames lost because the bound was reached. */
  readonly dropped: number;
  /**
   * Opens the gate towards `to`, or towards where the address was when that is left out, delivers what waited, in order,
   * and tells all stations, which then retransmit at once. `newMac`: the held IPv4 address now answers under that MAC.
   * The second and later calls do nothing.
   */
  release(to?: Port, newMac?: number): void;
}

/** A frame that waits, and the port it came from. */
export interface Waiting<P extends Port> {
  readonly frame: Uint8Array;
  readonly from: P;
  /** From the held address (true) or to it. */
  readonly outbound: boolean;
}

/** Bytes and frames one gate may hold; the rest is dropped and counted. TCP brings it again. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_FRAMES = 16384;

/** Stations together may use half of a gate: the gateway, which speaks for all the world, has the rest. */
const MAX_OF_STATIONS = 1 / 2;

export class GateState<P extends Port> {
  readonly waiting = new Queue<Waiting<P>>();
  bytes = 0;
  dropped = 0;
  #ofStations = 0;
  #bytesOfStations = 0;
  constructor(
    readonly target: GateTarget,
    /** Where the address was when it was held. */
    readonly origin: P | undefined,
  ) {}

  /** `isBounded`: there is a gateway, and this is not from it. */
  hold(item: Waiting<P>, isBounded: boolean): void {
    const { length } = item.frame;
    if (
      this.waiting.length >= MAX_FRAMES ||
      this.bytes + length > MAX_BYTES ||
      (isBounded && this.#ofStations >= MAX_FRAMES * MAX_OF_STATIONS) ||
      (isBounded && this.#bytesOfStations + length > MAX_BYTES * MAX_OF_STATIONS)
    ) {
      this.dropped++;
      return;
    }
    this.bytes += length;
    if (isBounded) {
      this.#ofStations++;
      this.#bytesOfStations += length;
    }
    this.waiting.push(item);
  }
}

export function addressedTo(target: GateTarget, frame: Uint8Array): boolean {
  if (target.mac !== undefined && getMac(frame, 0) === target.mac) return true;
  return target.ip !== undefined && destinationIp(frame) === target.ip;
}

export function comesFrom(target: GateTarget, frame: Uint8Array): boolean {
  if (target.mac !== undefined && getMac(frame, 6) === target.mac) return true;
  return target.ip !== undefined && sourceIp(frame) === target.ip;
}

/** The IPv4 address a frame is for, that an ARP packet asks for included; -1 if it has none. */
function destinationIp(frame: Uint8Array): number {
  const type = get16(frame, 12);
  if (type === TYPE_IPV4 && frame.length >= 34) return get32(frame, 30);
  return type === TYPE_ARP ? (parseArp(frame)?.targetIp ?? -1) : -1;
}

function sourceIp(frame: Uint8Array): number {
  const type = get16(frame, 12);
  if (type === TYPE_IPV4 && frame.length >= 34) return get32(frame, 26);
  return type === TYPE_ARP ? (parseArp(frame)?.senderIp ?? -1) : -1;
}
