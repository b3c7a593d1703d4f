/**
 * The state of one TCP connection (RFC 9293, 3.3.1; names are the RFC's). Plain data: output.ts, input.ts, recovery.ts
 * and timers.ts are functions over it, connection.ts is the face the application sees.
 *
 *   send sequence space                                receive sequence space
 *   1         2          3          4                  1          2          3
 *   ----------|----------|----------|----------        ----------|----------|----------
 *          SND.UNA    SND.NXT    SND.UNA+SND.WND              RCV.NXT    RCV.ADV (right edge advertised)
 */
import { Reassembly } from './reassembly.js';
import { Scoreboard } from './scoreboard.js';
import { SendQueue } from './send-queue.js';

export enum TcpState {
  Closed,
  SynSent,
  SynReceived,
  Established,
  FinWait1,
  FinWait2,
  CloseWait,
  Closing,
  LastAck,
  TimeWait,
}

/** Why a connection ended other than by both sides closing. */
export type TcpFault =
  /** The peer answered the SYN with RST. */
  | 'refused'
  /** The peer sent RST. */
  | 'reset'
  /** The peer stopped answering. */
  | 'timeout'
  /** This side aborted. */
  | 'aborted';

/** Bounds and times; times in milliseconds, sizes in bytes. */
export interface TcpConfig {
  /** The most data one segment may carry to us, and from us. */
  readonly mss: number;
  /** Bytes the peer may send ahead of the application. */
  readonly receiveWindow: number;
  /** Bytes the application may queue before it is asked to wait. */
  readonly sendBuffer: number;
  /** Whether selective acknowledgment is offered. */
  readonly sack: boolean;
  readonly initialRto: number;
  readonly minRto: number;
  readonly maxRto: number;
  /** Unanswered retransmissions, or probes, before the peer counts as gone; SYNs have a bound of their own. */
  readonly maxRetries: number;
  readonly maxSynRetries: number;
  readonly delayedAck: number;
  readonly keepAliveIdle: number;
  readonly keepAliveInterval: number;
  readonly timeWait: number;
}

export const DEFAULT_TCP: TcpConfig = {
  mss: 1460,
  receiveWindow: 1024 * 1024,
  sendBuffer: 1024 * 1024,
  sack: true,
  initialRto: 1000,
  minRto: 200,
  maxRto: 60_000,
  maxRetries: 12,
  maxSynRetries: 7,
  // Long enough for an answer to carry the acknowledgment, short enough not to be felt where Nagle waits for it.
  delayedAck: 10,
  keepAliveIdle: 600_000,
  keepAliveInterval: 15_000,
  timeWait: 10_000,
};

export interface Endpoints {
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}

/** What the connection tells its application. */
export interface TcpEvents {
  connected(): void;
  /** In order. The array is the application's; the window opens again by `consumed`. */
  data(chunk: Uint8Array): void;
  /** The peer sends no more. */
  end(): void;
  /** The send queue has room again, after `send` gave false. */
  writable(): void;
  /** Nothing more will come or go. `fault` is absent when both sides had closed. Last call. */
  closed(fault?: TcpFault): void;
}

export class Tcb {
  state = TcpState.Closed;
  /** A SYN arrived and the application has not yet decided: nothing is sent. */
  undecided = false;

  // Send sequence space.
  sndUna = 0;
  sndNxt = 0;
  /** Highest sequence number sent; SND.NXT falls behind it while going back after a timeout. */
  sndMax = 0;
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** The largest window the peer ever offered. */
  maxSndWnd = 0;
  sndScale = 0;
  /** Data per segment. */
  mss: number;
  readonly out = new SendQueue();
  /** Sequence number of `out`'s first byte. */
  outSeq = 0;
  /** The application sends no more. */
  finQueued = false;
  /** The FIN went out at least once, under this number. */
  finSent = false;
  finSeq = 0;
  /** `send` gave false and `writable` is owed. */
  wantsWritable = false;

  // Receive sequence space.
  irs = 0;
  rcvNxt = 0;
  rcvAdv = 0;
  rcvScale = 0;
  /** RCV.NXT when the last acknowledgment went out. */
  rcvAcked = 0;
  /** Delivered to the application and not consumed by it. */
  held = 0;
  readonly ahead = new Reassembly();
  /** A FIN waits for data before it. */
  finAhead = false;
  finAheadSeq = 0;

  // Options in force.
  scaling = false;
  sack = false;

  // Loss recovery, see recovery.ts.
  readonly sacked = new Scoreboard();
  duplicates = 0;
  recovering = false;
  /** SND.MAX when recovery began: once it is acknowledged, recovery is over. */
  recoveryPoint = 0;
  /** Holes below this were filled in this pass. */
  rexmitNext = 0;
  /** SND.MAX when this pass began. */
  passMark = 0;
  /** After a timeout, octets that may be in flight; Infinity otherwise. */
  flightLimit = Infinity;

  // Round-trip time (RFC 6298).
  srtt = -1;
  rttvar = 0;
  rto: number;
  timing = false;
  timedSeq = 0;
  timedAt = 0;
  retries = 0;
  /** Window probes without an answer, and keep-alive probes. */
  probes = 0;
  challenges = 0;
  challengeWindow = 0;

  // Deadlines in the clock's milliseconds; Infinity when off.
  rtoAt = Infinity;
  persistAt = Infinity;
  delayedAckAt = Infinity;
  keepAliveAt = Infinity;
  timeWaitAt = Infinity;

  /** An acknowledgment must go out when the segment in hand is done, or when the batch is. */
  ackNow = false;
  ackSoon = false;
  /** The way to the peer is full, or held: nothing is sent. */
  blocked = false;
  suspended = false;
  lastHeard = 0;
  /** The station at the other end: whose share of the tables it takes. */
  station = 0;

  constructor(
    readonly ends: Endpoints,
    readonly config: TcpConfig,
    readonly events: TcpEvents,
    iss: number,
  ) {
    this.mss = Math.min(536, config.mss);
    this.rto = config.initialRto;
    this.sndUna = iss;
    this.sndNxt = iss;
    this.sndMax = iss;
    this.outSeq = (iss + 1) | 0;
    while (config.receiveWindow >> this.rcvScale > 0xffff) this.rcvScale++;
  }
}

/** The world a connection lives in. */
export interface TcpWorld {
  now(): number;
  /** A frame for the connection's peer with room for a TCP segment of `length` bytes; `at` is where it begins. */
  allocate(ends: Endpoints, length: number): Uint8Array;
  readonly at: number;
  /** The most data in one frame for a peer that takes segments of `config.mss`: whole segments. */
  readonly burst: number;
  /** Sends, as a large frame if there is more data than `mss`. False: sent, but the way is full and the sender should `block`. */
  transmit(ends: Endpoints, frame: Uint8Array, mss?: number): boolean;
  /** Takes `blocked` back and goes on with `output` once the way is free. */
  block(tcb: Tcb): void;
  /** The connection's deadlines changed. */
  schedule(tcb: Tcb): void;
  /** Send the acknowledgment that is due when the batch of frames in hand is done. */
  soon(tcb: Tcb): void;
  /** The connection is in TIME-WAIT: it may be ended early if others need its place. */
  linger(tcb: Tcb): void;
  /** Bytes one connection may buffer in each direction now: with many connections less than the configured bounds. */
  share(tcb: Tcb): number;
  /** The connection is over; forget it. */
  forget(tcb: Tcb): void;
}
