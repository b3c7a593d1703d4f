import type { Subnet } from './address.js';

/** Which address is held: a MAC, an IPv4 address, or both (a frame matches if either does). */
export interface GateTarget {
  readonly mac?: number;
  readonly ip?: number;
}

/** What a release tells the stations on the switch. */
export interface Release extends GateTarget {
  /** The MAC address the held IPv4 address has from now on, if it changed. */
  readonly newMac?: number;
}

/** Who may use which address: the part of the switch's registry that a station sees. See registry.ts. */
export interface PortAddresses {
  /**
   * From now on these addresses are this port's, whoever had them. Throws NetError `BAD_CONFIG` for the gateway's.
   *
   *     instance.port.addresses.register({ mac: parseMac('52:54:00:00:01:00'), ip: parseIpv4('10.0.2.100') });
   */
  register(target: GateTarget): void;
  /** Whether this port has an IPv4 address. */
  has(ip: number): boolean;
  /** This port leads out of a subnet: it is trusted, and speaks for all addresses outside. For the gateway. */
  route(subnet: Subnet): void;
  /** An IPv4 address is leased to a MAC address, or (undefined) no longer. For the gateway. */
  lease(ip: number, mac: number | undefined): void;
  /** Whether an address may be given to the station with that MAC address: nobody else has it. */
  mayUse(ip: number, mac: number): boolean;
  /** The station that has an address: a number that no other port of the switch has; 0 if there is none. */
  stationOf(ip: number): number;
  stationOfMac(mac: number): number;
  /** Stations that have an address, beside the one that routes; at least 1. */
  stations(): number;
}

/** One socket of the switch, as the station plugged into it sees it. */
export interface Port {
  readonly name: string;
  /**
   * Gives a whole Ethernet frame to the switch, which keeps the array: it must not be written again.
   * False: taken, but a destination has much to digest; a station that can wait should, until `onReady`.
   */
  send(frame: Uint8Array): boolean;
  /**
   * Receives frames; the array may be shared with other stations and must not be written.
   * True: taken. False: no room; the switch keeps it and offers it again after `ready()`.
   * While undefined, frames wait.
   */
  onFrame: ((frame: Uint8Array) => boolean) | undefined;
  /**
   * Whether the station takes large frames (large.ts) now; asked for each. While undefined, or false, it gets the segments
   * that they stand for.
   */
  acceptsLarge?: (() => boolean) | undefined;
  /** A `send` that gave false may go on. May come without need. */
  onReady: (() => void) | undefined;
  /** Traffic of that address is held from now on, see gate.ts. */
  onHold: ((target: GateTarget) => void) | undefined;
  onRelease: ((release: Release) => void) | undefined;
  /** There is room again after `onFrame` gave false (or was undefined). */
  ready(): void;
  /** Unplugs the station. What waits for it is dropped; its addresses are free again. */
  close(): void;
  /** What it may have of the network, beside the others, from now on. Throws NetError `BAD_CONFIG`. */
  setShare(share: PortShare): void;
  readonly share: PortShare;
  readonly addresses: PortAddresses;
  readonly counters: PortCounters;
}

/** What a station may have of the network. */
export interface PortShare {
  /** Bytes per second, each way; what comes sooner waits, up to a bound. No limit unless told. */
  readonly bandwidth?: number;
  /**
   * Beside others that send to the same station: who has three times the weight gets three times as much when they want more
   * than that takes. 1 unless told; from 1/100 to 100.
   */
  readonly weight?: number;
}

/** Frames that a port has passed and dropped. */
export interface PortCounters {
  /** Frames delivered to the station, and their bytes. */
  delivered: number;
  deliveredBytes: number;
  /** Frames to the station that found the queue full. */
  overflowed: number;
  /** Frames from the station that were malformed, or under an address that is not its own. */
  refused: number;
  /** Frames from the station of a kind that this network does not carry: IPv6, VLAN tags, spanning tree. */
  notCarried: number;
}

/** What a port of a switch is made with. */
export interface PortOptions extends PortShare {
  readonly name: string;
  /** The source MAC addresses the station may use. Left out: any, learned as they appear. */
  readonly macs?: readonly number[];
  /** It has the addresses that are registered with it, and may claim no others. */
  readonly claimsNone?: boolean;
  /**
   * Bytes that may wait for the station, 4 MiB unless told. Over half of it `send` asks senders to wait. Each sender has
   * room for an eighth of it, whatever the others have sent.
   */
  readonly queueBytes?: number;
}
