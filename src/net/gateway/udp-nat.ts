/**
 * UDP to the outside: one host socket per guest address and port, replies only from where something was sent
 * (RFC 4787: endpoint-independent mapping, address- and port-dependent filtering). Silent flows are closed; a guest whose
 * share of the flows is used up loses its own idlest.
 */
import { formatIpv4, parseIpv4 } from '../address.js';
import { compact } from '../arena.js';
import type { Clock } from '../clock.js';
import type { DatagramsRefused, HostDatagrams, Sockets } from '../sockets.js';
import { Shares } from '../shares.js';
import { hostAddress, type GatewayConfig } from './config.js';
import type { Stations } from './stations.js';

const MAX_FLOWS = 1024;
const MAX_PEERS = 256;
const MAX_WAITING = 16;
/** Bytes that may wait for a flow's socket to open. */
const MAX_WAITING_BYTES = 64 * 1024;

export type Refusal = Parameters<DatagramsRefused>[2];

interface Flow {
  readonly guest: number;
  readonly port: number;
  readonly station: number;
  /** Host address and port → the address the guest knows it by. */
  readonly peers: Map<string, number>;
  socket: HostDatagrams | undefined;
  /** Datagrams sent while the socket is being opened. */
  waiting: { data: Uint8Array; address: string; port: number }[];
  waitingBytes: number;
  used: number;
  closed: boolean;
}

export class UdpNat {
  readonly #flows = new Map<number, Flow>();
  readonly #shares: Shares;
  /** Datagrams dropped because no flow could be opened for them. */
  crowded = 0;
  #cancelSweep: (() => void) | undefined;
  #closed = false;

  constructor(
    readonly config: GatewayConfig,
    readonly sockets: Sockets,
    readonly clock: Clock,
    readonly stations: Stations,
    /** A datagram for the guest. */
    readonly deliver: (source: number, sourcePort: number, guest: number, port: number, data: Uint8Array) => void,
    /** A guest's datagram arrived nowhere. */
    readonly refused: (guest: number, port: number, destination: number, to: number, why: Refusal) => void,
  ) {
    this.#shares = new Shares(MAX_FLOWS, () => stations.count());
  }

  get size(): number {
    return this.#flows.size;
  }

  /** A guest's datagram; `data` is kept. False: the guest may not go there. */
  send(guest: number, port: number, destination: number, destinationPort: number, data: Uint8Array): boolean {
    const address = hostAddress(this.config, destination);
    if (address === undefined || destinationPort === 0 || this.#closed) return false;
    const key = guest * 0x10000 + port;
    const known = this.#flows.get(key);
    const peer = `${address}:${destinationPort}`;
    if (known?.peers.has(peer) !== true) {
      const target = { protocol: 'udp', address, port: destinationPort, guest: formatIpv4(guest) } as const;
      if (!this.config.allow(target)) return false;
    }
    const flow = known ?? this.#open(key, guest, port);
    if (flow === undefined) return true;
    flow.used = this.clock.now();
    if (flow.peers.size >= MAX_PEERS && !flow.peers.has(peer)) forgetFirst(flow.peers);
    flow.peers.set(peer, destination);
    if (flow.socket !== undefined) flow.socket.send(data, address, destinationPort);
    else if (flow.waiting.length < MAX_WAITING && flow.waitingBytes + data.length <= MAX_WAITING_BYTES) {
      flow.waiting.push({ data: compact(data), address, port: destinationPort });
      flow.waitingBytes += data.length;
    }
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#cancelSweep?.();
    for (const [key, flow] of this.#flows) this.#drop(key, flow);
  }

  #open(key: number, guest: number, port: number): Flow | undefined {
    const station = this.stations.of(guest);
    if (!this.#take(station)) {
      this.crowded++;
      return undefined;
    }
    const flow: Flow = {
      guest,
      port,
      station,
      peers: new Map(),
      socket: undefined,
      waiting: [],
      waitingBytes: 0,
      used: 0,
      closed: false,
    };
    this.#flows.set(key, flow);
    this.#cancelSweep ??= this.clock.after(this.config.udpIdle, () => this.#sweep());
    this.sockets
      .datagrams(
        '0.0.0.0',
        0,
        (data, address, from) => this.#receive(flow, data, address, from),
        (address, to, why) => {
          const destination = flow.peers.get(`${address}:${to}`);
          if (destination !== undefined && !flow.closed) this.refused(flow.guest, flow.port, destination, to, why);
        },
      )
      .then(
        (socket) => {
          if (flow.closed) socket.close();
          else {
            flow.socket = socket;
            for (const { data, address, port: to } of flow.waiting) socket.send(data, address, to);
          }
          flow.waiting = [];
        },
        // Out of host sockets: the guest's datagrams are lost, as datagrams may be.
        () => this.#drop(key, flow),
      );
    return flow;
  }

  #receive(flow: Flow, data: Uint8Array, address: string, port: number): void {
    const source = flow.peers.get(`${address}:${port}`);
    if (source === undefined || flow.closed) return;
    flow.used = this.clock.now();
    this.deliver(source, port, flow.guest, flow.port, data);
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    const now = this.clock.now();
    for (const [key, flow] of this.#flows) if (now - flow.used >= this.config.udpIdle) this.#drop(key, flow);
    if (this.#flows.size > 0) this.#cancelSweep = this.clock.after(this.config.udpIdle / 2, () => this.#sweep());
  }

  /** A place for a flow and its socket, if need be that of the station's idlest flow. */
  #take(station: number): boolean {
    if (this.#takeBoth(station)) return true;
    let idlest: [number, Flow] | undefined;
    for (const entry of this.#flows) {
      const [, flow] = entry;
      if (flow.station === station && (idlest === undefined || flow.used < idlest[1].used)) idlest = entry;
    }
    if (idlest === undefined) return false;
    this.#drop(...idlest);
    return this.#takeBoth(station);
  }

  #takeBoth(station: number): boolean {
    if (!this.#shares.take(station)) return false;
    if (this.stations.descriptors.take(station)) return true;
    this.#shares.give(station);
    return false;
  }

  #drop(key: number, flow: Flow): void {
    if (flow.closed) return;
    flow.closed = true;
    this.#shares.give(flow.station);
    this.stations.descriptors.give(flow.station);
    flow.socket?.close();
    if (this.#flows.get(key) === flow) this.#flows.delete(key);
  }
}

function forgetFirst(peers: Map<string, number>): void {
  for (const peer of peers.keys()) {
    peers.delete(peer);
    return;
  }
}

/** The guest's name for a host peer that speaks first: the host's own addresses appear as the gateway. */
export function guestView(config: GatewayConfig, address: string): number {
  return address.startsWith('127.') ? config.gateway : parseIpv4(address);
}
