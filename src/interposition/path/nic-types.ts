/** What the monitor can be asked to do at a network card in use. `in`: to the guest; `out`: from it. */
import type { VirtioNet } from '../../computer/virtio/net.js';
import type { Use } from '../device.js';

/** Which way a frame goes, as the guest sees it. */
export type FrameDirection = 'in' | 'out';

/** Kinds of frames that are counted apart; `icmp`, `tcp` and `udp`: over IPv4, which has others too. */
export type FrameKind = 'arp' | 'tcp' | 'udp' | 'icmp' | 'ipv4' | 'other';

/** Frames of a card are written down. */
export interface NicWatch extends Use {
  /** Frames since it began, by kind; `ipv4`: those that carry neither TCP nor UDP nor ICMP. */
  readonly counts: Readonly<Record<FrameKind, number>>;
  readonly frames: Readonly<Record<FrameDirection, number>>;
  readonly bytes: Readonly<Record<FrameDirection, number>>;
  /** What the sink threw; it is not called any more then. */
  readonly broken: unknown;
}

/** What is done to a card's frames. The order of those that go the same way stays. */
export interface NicDisturbance {
  /** Milliseconds that a frame is on its way longer, and how many more or less by chance; 0 unless told. */
  readonly latency?: number;
  readonly jitter?: number;
  /** Of 0 to 1: the share of frames that get lost, and that come twice. 0 unless told. */
  readonly loss?: number;
  readonly duplicate?: number;
  /** Both unless told. */
  readonly direction?: FrameDirection;
  /** Where chance comes from: a number of 0 to below 1. `Math.random` unless told. */
  readonly random?: () => number;
}

/** How a second OS instance uses the card. */
export interface NicShareOptions {
  /** Six bytes; `boot` takes that of its place on the network unless told. */
  readonly mac?: Uint8Array;
  /** Beside the first user's, which is 1: who has twice the weight gets twice as much when both want more than there is. */
  readonly weight?: number;
  /** Bytes per second that it may have at most each way, whatever the others want. */
  readonly bandwidth?: number;
}

/** Under which addresses a card is used. */
export interface NicAddress {
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** IPv4, as a number of 32 bits. */
  readonly ip?: number;
}

/**
 * A card that is used by another OS instance as well: give it to `boot` as its `network`. While it lasts the monitor does
 * not step away. `end` pulls the second's cable out; so it is when the instance that has the card itself is gone.
 */
export interface SharedNic extends Use {
  /** The card that is shared: its name. */
  readonly of: string;
  readonly mac: Uint8Array | undefined;
  /**
   * Plugs the second's own card in; answers what pulls it out again. Throws InterpositionError `in-use` if another is
   * plugged in, `invalid` for an address that is another user's, `closed` after its end.
   */
  plug(nic: VirtioNet, address: NicAddress): () => void;
}
