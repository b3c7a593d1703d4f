/** Ports of the host that lead to a guest. What comes in appears in the guest as coming from the gateway. */
import { formatIpv4, inSubnet, parseIpv4 } from '../address.js';
import { NetError } from '../errors.js';
import type { HostDatagrams, HostStream, Sockets, StreamEvents } from '../sockets.js';
import type { TcpLayer } from '../tcp/layer.js';
import type { GatewayConfig } from './config.js';
import { Relay } from './relay.js';
import type { Stations } from './stations.js';

/** Which port of the host leads where. */
export interface ForwardOptions {
  /** `tcp` unless told. */
  readonly protocol?: 'tcp' | 'udp';
  /** The host address to listen on, `127.0.0.1` unless told. */
  readonly host?: string;
  /** The host port; 0 or absent lets the host choose. */
  readonly port?: number;
  /** The guest's address and port. */
  readonly guest: string;
  readonly guestPort: number;
}

/** An open port of the host that leads into a guest. */
export interface Forward {
  readonly protocol: 'tcp' | 'udp';
  readonly host: string;
  /** The port that is listened on. */
  readonly port: number;
  readonly guest: string;
  readonly guestPort: number;
  /** Stops to listen. TCP connections that exist go on. */
  close(): Promise<void>;
}

const FIRST_EPHEMERAL = 49152;
const EPHEMERALS = 16384;
const MAX_UDP_PEERS = 1024;

/** A peer on the host of a forwarded UDP port. */
interface UdpPeer {
  readonly socket: HostDatagrams;
  readonly address: string;
  readonly port: number;
  readonly guest: number;
  readonly guestPort: number;
  readonly local: number;
}

export class Forwards {
  readonly #open = new Set<Forward>();
  readonly #udpByPort = new Map<number, UdpPeer>();
  readonly #udpByPeer = new Map<string, UdpPeer>();
  #closed = false;
  /** Connections from the host that were reset because the guest's share is used up. */
  crowded = 0;
  #next = 0;

  constructor(
    readonly config: GatewayConfig,
    readonly sockets: Sockets,
    readonly tcp: TcpLayer,
    readonly stations: Stations,
    /** Where the relays of this gateway are found while they live. */
    readonly relays: Set<Relay>,
    readonly sendUdp: (sourcePort: number, guest: number, guestPort: number, data: Uint8Array) => void,
  ) {}

  /** Rejects with NetError `PORT_IN_USE` and its like, `BAD_CONFIG`, or `CLOSED`. */
  async open(options: ForwardOptions): Promise<Forward> {
    if (this.#closed) throw closed();
    const guest = parseIpv4(options.guest);
    const { guestPort } = options;
    const { protocol = 'tcp', host = '127.0.0.1', port = 0 } = options;
    if (!inSubnet(this.config.subnet, guest)) {
      throw new NetError('BAD_CONFIG', `the guest address ${options.guest} lies outside the gateway's subnet`);
    }
    if (!isPort(guestPort) || guestPort === 0 || !isPort(port)) {
      throw new NetError('BAD_CONFIG', `ports must be between 1 and 65535 (guest ${guestPort}, host ${port})`);
    }
    const listener =
      protocol === 'tcp'
        ? await this.sockets.listen(host, port, (stream) => this.#accept(stream, guest, guestPort))
        : await this.#openUdp(host, port, guest, guestPort);
    // Closed while the host was opening it.
    if (this.#closed) {
      await listener.close();
      throw closed();
    }
    const forward: Forward = {
      protocol,
      host,
      port: listener.port,
      guest: formatIpv4(guest),
      guestPort,
      close: async () => {
        this.#open.delete(forward);
        await listener.close();
      },
    };
    this.#open.add(forward);
    return forward;
  }

  list(): Forward[] {
    return [...this.#open];
  }

  /** A guest's datagram to the gateway. True if it belongs to a forwarded port. */
  udpFromGuest(guest: number, guestPort: number, port: number, data: Uint8Array): boolean {
    const peer = this.#udpByPort.get(port);
    if (peer === undefined || peer.guest !== guest || peer.guestPort !== guestPort) return false;
    peer.socket.send(data, peer.address, peer.port);
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.list().map((forward) => forward.close()));
  }

  #accept(stream: HostStream, guest: number, guestPort: number): StreamEvents {
    const station = this.stations.of(guest);
    const { descriptors } = this.stations;
    const counted = descriptors.take(station);
    const relay = new Relay({
      done: () => {
        if (this.relays.delete(relay) && counted) descriptors.give(station);
      },
    });
    this.relays.add(relay);
    relay.setStream(stream, true);
    const hasRoom = counted && this.tcp.hasRoom(guest);
    if (!hasRoom) this.crowded++;
    const ends = { localAddress: this.config.gateway, localPort: 0, remoteAddress: guest, remotePort: guestPort };
    const localPort = this.#freeTcpPort(guest, guestPort);
    if (localPort === undefined || this.#closed || !hasRoom) relay.abort();
    else relay.connection = this.tcp.connect({ ...ends, localPort }, relay.tcpEvents);
    return relay.streamEvents;
  }

  #freeTcpPort(guest: number, guestPort: number): number | undefined {
    for (let i = 0; i < EPHEMERALS; i++) {
      const localPort = this.#nextPort();
      const ends = { localAddress: this.config.gateway, localPort, remoteAddress: guest, remotePort: guestPort };
      if (!this.tcp.has(ends)) return localPort;
    }
    return undefined;
  }

  #nextPort(): number {
    this.#next = (this.#next + 1) % EPHEMERALS;
    return FIRST_EPHEMERAL + this.#next;
  }

  async #openUdp(
    host: string,
    port: number,
    guest: number,
    guestPort: number,
  ): Promise<{ port: number; close(): Promise<void> }> {
    const socket: HostDatagrams = await this.sockets.datagrams(host, port, (data, address, from) => {
      const peer = this.#udpPeer(socket, address, from, guest, guestPort);
      this.sendUdp(peer.local, guest, guestPort, data);
    });
    return {
      port: socket.port,
      close: () => {
        for (const [key, peer] of this.#udpByPeer) if (peer.socket === socket) this.#forget(key, peer);
        socket.close();
        return Promise.resolve();
      },
    };
  }

  /** The peer's stand-in port on the gateway; the one unused for longest makes room for a new one. */
  #udpPeer(socket: HostDatagrams, address: string, port: number, guest: number, guestPort: number): UdpPeer {
    const key = `${socket.port} ${address} ${port}`;
    const known = this.#udpByPeer.get(key);
    if (known !== undefined) {
      this.#udpByPeer.delete(key);
      this.#udpByPeer.set(key, known);
      return known;
    }
    if (this.#udpByPeer.size >= MAX_UDP_PEERS) {
      for (const [oldest, peer] of this.#udpByPeer) {
        this.#forget(oldest, peer);
        break;
      }
    }
    let local = this.#nextPort();
    while (this.#udpByPort.has(local)) local = this.#nextPort();
    const peer: UdpPeer = { socket, address, port, guest, guestPort, local };
    this.#udpByPeer.set(key, peer);
    this.#udpByPort.set(local, peer);
    return peer;
  }

  #forget(key: string, peer: UdpPeer): void {
    this.#udpByPeer.delete(key);
    this.#udpByPort.delete(peer.local);
  }
}

function closed(): NetError {
  return new NetError('CLOSED', 'the gateway was closed: no port can lead through it any more');
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 65535;
}
