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
  /** A `send` that gave false may go on. May come without need. */
  onReady: (() => void) | undefined;
  /** Traffic of that address is held from now on, see gate.ts. */
  onHold: ((target: GateTarget) => void) | undefined;
  onRelease: ((release: Release) => void) | undefined;
  /** There is room again after `onFrame` gave false (or was undefined). */
  ready(): void;
  /** Unplugs the station. What waits for it is dropped. */
  close(): void;
  readonly counters: PortCounters;
}

export interface PortCounters {
  /** Frames delivered to the station, and their bytes. */
  delivered: number;
  deliveredBytes: number;
  /** Frames to the station that found the queue full. */
  overflowed: number;
  /** Frames from the station that were malformed, or under an address that is not its own. */
  refused: number;
}

export interface PortOptions {
  readonly name: string;
  /** The source MAC addresses the station may use. Left out: any, learned as they appear. */
  readonly macs?: readonly number[];
  /** Bytes that may wait for the station, 4 MiB unless told. Over half of it `send` asks senders to wait. */
  readonly queueBytes?: number;
}
