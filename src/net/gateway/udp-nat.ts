/**
 * UDP to the outside: one host socket per guest address and port, replies only from where something was sent
 * (RFC 4787: endpoint-independent mapping, address- and port-dependent filtering). Silent flows are closed.
 */
import { formatIpv4, parseIpv4 } from '../address.js';
import type { Clock } from '../clock.js';
import type { HostDatagrams, Sockets } from '../sockets.js';
import { hostAddress, type GatewayConfig } from './config.js';

const MAX_FLOWS = 1024;
const MAX_PEERS = 256;
const MAX_WAITING = 16;

interface Flow {
  readonly guest: number;
  readonly port: number;
  /** Host address and port → the address the guest knows it by. */
  readonly peers: Map<string, number>;
  socket: HostDatagrams | undefined;
  /** Datagrams sent while the socket is being opened. */
  waiting: { data: Uint8Array; address: string; port: number }[];
  used: number;
  closed: boolean;
}

export class UdpNat {
  readonly #flows = new Map<number, Flow>();
  #cancelSweep: (() => void) | undefined;
  #closed = false;

  constructor(
    readonly config: GatewayConfig,
    readonly sockets: Sockets,
    readonly clock: Clock,
    /** A datagram for the guest. */
    readonly deliver: (source: number, sourcePort: number, guest: number, port: number, data: Uint8Array) => void,
  ) {}

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
    flow.used = this.clock.now();
    if (flow.peers.size >= MAX_PEERS && !flow.peers.has(peer)) forgetFirst(flow.peers);
    flow.peers.set(peer, destination);
    if (flow.socket !== undefined) flow.socket.send(data, address, destinationPort);
    else if (flow.waiting.length < MAX_WAITING) flow.waiting.push({ data, address, port: destinationPort });
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#cancelSweep?.();
    for (const [key, flow] of this.#flows) this.#drop(key, flow);
  }

  #open(key: number, guest: number, port: number): Flow {
    if (this.#flows.size >= MAX_FLOWS) this.#dropIdlest();
    const flow: Flow = { guest, port, peers: new Map(), socket: undefined, waiting: [], used: 0, closed: false };
    this.#flows.set(key, flow);
    this.#cancelSweep ??= this.clock.after(this.config.udpIdle, () => this.#sweep());
    this.sockets
      .datagrams('0.0.0.0', 0, (data, address, from) => this.#receive(flow, data, address, from))
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

  #dropIdlest(): void {
    let idlest: [number, Flow] | undefined;
    for (const entry of this.#flows) if (idlest === undefined || entry[1].used < idlest[1].used) idlest = entry;
    if (idlest !== undefined) this.#drop(...idlest);
  }

  #drop(key: number, flow: Flow): void {
    flow.closed = true;
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
