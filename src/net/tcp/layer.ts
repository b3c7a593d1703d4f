/** All TCP connections of one station: who gets a segment, when timers run, what answers strangers. */
import type { Clock } from '../clock.js';
import { PAYLOAD, type Ipv4Link } from '../link.js';
import { NetError } from '../errors.js';
import { LONGEST_PACKET, makeLarge, segmentSize } from '../large.js';
import { transportChecksum } from '../wire/checksum.js';
import { Shares } from '../shares.js';
import { IPV4_HEADER, PROTOCOL_TCP, type Ipv4Packet } from '../wire/ipv4.js';
import { TcpConnection } from './connection.js';
import { FlowTable } from './flows.js';
import { finish, segmentArrives, synArrives } from './input.js';
import { emitBare, output, seal } from './output.js';
import { ACK, FIN, parseSegment, RST, Segment, SYN, TCP_HEADER } from './segment.js';
import { add, after } from './sequence.js';
import { DEFAULT_TCP, Tcb, TcpState, type Endpoints, type TcpConfig, type TcpEvents, type TcpWorld } from './tcb.js';
import { nextDeadline, runTimers } from './timers.js';

/** A timer never fires earlier than this many milliseconds from now: deadlines that are close fall together. */
const GRAIN = 1;
const HEADERS = IPV4_HEADER + TCP_HEADER;
const MAX_CONNECTIONS = 4096;
/** Connections that wait for the host, at least, and as a part of all. */
const MIN_HALF_OPEN = 64;
const HALF_OPEN_PART = 1 / 8;
/** Bytes all connections together may buffer in each direction; one alone keeps to its configured bound. */
const BUFFER_BUDGET = 256 * 1024 * 1024;
const MIN_SHARE = 64 * 1024;

/**
 * Decides on a peer's SYN: gives the events of the connection to be, or undefined to refuse. `decide` is called with the
 * connection before anything else happens to it; the connection opens when someone calls its `accept`.
 */
export type OnSyn = (ends: Endpoints) => ((connection: TcpConnection) => TcpEvents) | undefined;

export interface TcpLayerOptions {
  readonly link: Ipv4Link;
  readonly clock: Clock;
  readonly config?: Partial<TcpConfig>;
  /** Connections at one time, those that are closing included; further SYNs are dropped. */
  readonly maxConnections?: number;
  readonly onSyn: OnSyn;
  /** Whose share of the tables a connection takes, by the peer's address, and among how many. All alike unless told. */
  readonly stationOf?: (address: number) => number;
  readonly stations?: () => number;
  /** Initial sequence numbers; random unless a test wants a certain one. */
  readonly iss?: () => number;
}

export interface TcpCounters {
  malformed: number;
  /** SYNs dropped because their station's share of the connections, or of the half-open ones, was used up. */
  crowded: number;
}

export class TcpLayer implements TcpWorld {
  readonly at = PAYLOAD;
  readonly config: TcpConfig;
  readonly burst: number;
  readonly counters: TcpCounters = { malformed: 0, crowded: 0 };
  readonly #options: TcpLayerOptions;
  readonly #flows = new FlowTable();
  readonly #blocked = new Set<Tcb>();
  /** Connections that have taken a place of their station's share. */
  readonly #counted = new Set<Tcb>();
  /** Connections whose deadlines must be looked at one by one: all that are not in TIME-WAIT. */
  readonly #timed = new Set<Tcb>();
  /** Connections in TIME-WAIT, in the order in which it ends. */
  readonly #lingering = new Set<Tcb>();
  readonly #shares: Shares;
  readonly #halfOpen: Shares;
  readonly #segment = new Segment();
  readonly #random = new Int32Array(64);
  #randomLeft = 0;
  #soon: Tcb[] = [];
  #timerAt = Infinity;
  #cancelTimer: (() => void) | undefined;
  #time = -1;

  constructor(options: TcpLayerOptions) {
    this.#options = options;
    const mss = options.link.mtu - HEADERS;
    this.config = { ...DEFAULT_TCP, mss, ...options.config };
    const { mss: data } = this.config;
    this.burst = options.link.large ? data * Math.max(1, Math.floor((LONGEST_PACKET - HEADERS) / data)) : data;
    const most = options.maxConnections ?? MAX_CONNECTIONS;
    this.#shares = new Shares(most, () => this.#stations());
    this.#halfOpen = new Shares(Math.max(MIN_HALF_OPEN, most * HALF_OPEN_PART), () => this.#stations());
  }

  get size(): number {
    return this.#flows.size;
  }

  connections(): Iterable<TcpConnection> {
    return this.#flows;
  }

  has(ends: Endpoints): boolean {
    return this.#flows.find(ends.localAddress, ends.localPort, ends.remoteAddress, ends.remotePort) !== undefined;
  }

  /** Whether there is a place for one more connection to a peer. */
  hasRoom(address: number): boolean {
    const station = this.#stationOf(address);
    if (!this.#take(station)) return false;
    this.#shares.give(station);
    return true;
  }

  /** Opens a connection, room or no room. Throws NetError `BAD_CONFIG` if the same four numbers are in use. */
  connect(ends: Endpoints, events: TcpEvents): TcpConnection {
    if (this.has(ends)) throw new NetError('BAD_CONFIG', 'there is a connection between these ports already');
    const tcb = new Tcb(ends, this.config, events, this.#iss());
    tcb.state = TcpState.SynSent;
    const connection = this.#add(tcb);
    output(tcb, this);
    return connection;
  }

  /** A TCP packet for this station. */
  input(packet: Ipv4Packet): void {
    const { bytes, start, length, source, destination } = packet;
    const s = this.#segment;
    if (
      !parseSegment(bytes, start, length, s) ||
      (segmentSize(bytes) === 0 && transportChecksum(bytes, start, length, source, destination, PROTOCOL_TCP) !== 0)
    ) {
      this.counters.malformed++;
      return;
    }
    this.#time = this.#options.clock.now();
    try {
      this.#arrives(source, destination, s);
    } finally {
      this.#time = -1;
    }
  }

  #arrives(source: number, destination: number, s: Segment): void {
    const connection = this.#flows.find(destination, s.destinationPort, source, s.sourcePort);
    if (connection !== undefined && !this.#reopens(connection, s)) {
      segmentArrives(connection.tcb, this, s);
      return;
    }
    const ends = {
      localAddress: destination,
      localPort: s.destinationPort,
      remoteAddress: source,
      remotePort: s.sourcePort,
    };
    this.#stranger(ends, s);
  }

  /** Connections that waited for room on the link go on. */
  writable(): void {
    if (this.#blocked.size === 0) return;
    const waiting = [...this.#blocked];
    this.#blocked.clear();
    for (const tcb of waiting) {
      tcb.blocked = false;
      output(tcb, this);
    }
  }

  /** Drops all connections; with `reset` the peers are told. */
  close(reset: boolean): void {
    for (const connection of [...this.#flows]) {
      if (reset) connection.abort();
    }
    this.#cancelTimer?.();
  }

  /** The time, read once per segment: a segment asks several times. */
  now(): number {
    return this.#time >= 0 ? this.#time : this.#options.clock.now();
  }

  allocate(ends: Endpoints, length: number): Uint8Array {
    return this.#options.link.allocate(PROTOCOL_TCP, ends.localAddress, ends.remoteAddress, length);
  }

  transmit(ends: Endpoints, frame: Uint8Array, mss = Infinity): boolean {
    if (frame.length - PAYLOAD - TCP_HEADER > mss) makeLarge(frame, mss);
    else seal(frame, PAYLOAD, ends);
    return this.#options.link.transmit(frame);
  }

  block(tcb: Tcb): void {
    this.#blocked.add(tcb);
  }

  schedule(tcb: Tcb): void {
    const at = nextDeadline(tcb);
    if (at < this.#timerAt) this.#arm(at);
  }

  soon(tcb: Tcb): void {
    this.#soon.push(tcb);
    if (this.#soon.length > 1) return;
    this.#options.clock.soon(() => {
      const due = this.#soon;
      this.#soon = [];
      for (const t of due) {
        if (!t.ackSoon) continue;
        t.ackSoon = false;
        t.ackNow = true;
        output(t, this);
      }
    });
  }

  linger(tcb: Tcb): void {
    this.#timed.delete(tcb);
    // Anew, if it was there: it is the last again.
    this.#lingering.delete(tcb);
    this.#lingering.add(tcb);
  }

  /** For a connection of the same station; station 0 unless told. */
  share({ station }: Pick<Tcb, 'station'> = { station: 0 }): number {
    return Math.max(MIN_SHARE, BUFFER_BUDGET / this.#stations() / Math.max(1, this.#shares.of(station)));
  }

  forget(tcb: Tcb): void {
    this.#blocked.delete(tcb);
    this.#lingering.delete(tcb);
    this.#timed.delete(tcb);
    const { localAddress, localPort, remoteAddress, remotePort } = tcb.ends;
    const connection = this.#flows.find(localAddress, localPort, remoteAddress, remotePort);
    if (connection?.tcb !== tcb) return;
    this.#flows.delete(connection);
    if (this.#counted.delete(tcb)) this.#shares.give(tcb.station);
  }

  /** A SYN that begins a new connection in the place of one in TIME-WAIT (RFC 9293, 3.6.1). */
  #reopens(connection: TcpConnection, s: Segment): boolean {
    const { tcb } = connection;
    if (tcb.state !== TcpState.TimeWait || (s.flags & (SYN | ACK | RST)) !== SYN) return false;
    if (!after(s.seq, tcb.rcvNxt)) return false;
    tcb.timeWaitAt = 0;
    runTimers(tcb, this, this.now());
    return true;
  }

  /** RFC 9293, 3.10.7.1 and 3.10.7.2. */
  #stranger(ends: Endpoints, s: Segment): void {
    if ((s.flags & RST) !== 0) return;
    if ((s.flags & (SYN | ACK)) === SYN) {
      const station = this.#stationOf(ends.remoteAddress);
      if (!this.hasRoom(ends.remoteAddress) || !this.#halfOpen.take(station)) {
        this.counters.crowded++;
        return;
      }
      const decide = this.#options.onSyn(ends);
      if (decide !== undefined) {
        this.#open(ends, s, station, decide);
        return;
      }
      this.#halfOpen.give(station);
    }
    if ((s.flags & ACK) !== 0) emitBare(ends, this, RST, s.ack, 0);
    else
      emitBare(ends, this, RST | ACK, 0, add(s.seq, s.dataLength + ((s.flags & SYN) !== 0 ? 1 : 0) + (s.flags & FIN)));
  }

  #stationOf(address: number): number {
    return this.#options.stationOf?.(address) ?? 0;
  }

  #stations(): number {
    return this.#options.stations?.() ?? 1;
  }

  /** A place for a connection of `station`, if need be that of its oldest connection in TIME-WAIT. */
  #take(station: number): boolean {
    if (this.#shares.take(station)) return true;
    for (const tcb of this.#lingering) {
      if (tcb.station !== station) continue;
      finish(tcb, this);
      return this.#shares.take(station);
    }
    return false;
  }

  #count(tcb: Tcb): void {
    tcb.station = this.#stationOf(tcb.ends.remoteAddress);
    if (this.#take(tcb.station)) this.#counted.add(tcb);
  }

  #open(ends: Endpoints, s: Segment, station: number, decide: (connection: TcpConnection) => TcpEvents): void {
    const relay = new LateEvents(() => this.#halfOpen.give(station));
    const tcb = new Tcb(ends, this.config, relay, this.#iss());
    synArrives(tcb, s, this.now());
    relay.target = decide(this.#add(tcb));
  }

  #add(tcb: Tcb): TcpConnection {
    this.#count(tcb);
    const connection = new TcpConnection(tcb, this);
    this.#flows.add(connection);
    this.#timed.add(tcb);
    return connection;
  }

  #arm(at: number): void {
    this.#cancelTimer?.();
    this.#timerAt = at;
    this.#cancelTimer = this.#options.clock.after(Math.max(GRAIN, at - this.#options.clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.#timerAt = Infinity;
    this.#cancelTimer = undefined;
    const now = this.#options.clock.now();
    let next = Infinity;
    for (const tcb of [...this.#timed]) {
      if (nextDeadline(tcb) <= now) runTimers(tcb, this, now);
      next = Math.min(next, nextDeadline(tcb));
    }
    for (const tcb of this.#lingering) {
      // There may be thousands, and all wait equally long.
      if (nextDeadline(tcb) <= now) runTimers(tcb, this, now);
      else if (!tcb.suspended) {
        next = Math.min(next, nextDeadline(tcb));
        break;
      }
    }
    if (next < this.#timerAt) this.#arm(next);
  }

  /** An initial sequence number nobody can guess (RFC 6528). */
  #iss(): number {
    if (this.#options.iss !== undefined) return this.#options.iss() | 0;
    if (this.#randomLeft === 0) {
      crypto.getRandomValues(this.#random);
      this.#randomLeft = this.#random.length;
    }
    return this.#random[--this.#randomLeft];
  }
}

/** The events of a connection whose application is made knowing the connection. */
class LateEvents implements TcpEvents {
  target: TcpEvents | undefined;
  #settled: (() => void) | undefined;

  /** `settled`: it is half open no longer. */
  constructor(settled: () => void) {
    this.#settled = settled;
  }

  connected(): void {
    this.#settle();
    this.target?.connected();
  }
  data(chunk: Uint8Array): void {
    this.target?.data(chunk);
  }
  end(): void {
    this.target?.end();
  }
  writable(): void {
    this.target?.writable();
  }
  closed(fault?: Parameters<TcpEvents['closed']>[0]): void {
    this.#settle();
    this.target?.closed(fault);
  }
  #settle(): void {
    this.#settled?.();
    this.#settled = undefined;
  }
}
