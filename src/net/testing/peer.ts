/** A guest for tests: one address, our own TCP from the other side, and raw packets where a test wants them. */
import type { Clock } from '../clock.js';
import { inSubnet, parseIpv4, parseMac, parseSubnet } from '../address.js';
import { Ipv4Link } from '../link.js';
import type { Port } from '../port.js';
import type { TcpConnection } from '../tcp/connection.js';
import { TcpLayer } from '../tcp/layer.js';
import type { TcpConfig, TcpEvents, TcpFault } from '../tcp/tcb.js';
import { Ipv4Packet, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.js';
import { buildUdp, parseUdp } from '../wire/udp.js';

export interface PeerOptions {
  readonly port: Port;
  readonly clock: Clock;
  readonly ip: string;
  readonly mac: string;
  readonly subnet?: string;
  readonly gateway?: string;
  readonly mtu?: number;
  /** It takes and sends large frames. */
  readonly large?: boolean;
  readonly tcp?: Partial<TcpConfig>;
  readonly iss?: () => number;
  readonly maxConnections?: number;
}

/** A received datagram or ICMP message; `data` is a copy. */
export interface Received {
  readonly source: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly data: Uint8Array;
}

export class Peer {
  readonly ip: number;
  readonly link: Ipv4Link;
  readonly tcp: TcpLayer;
  readonly datagrams: Received[] = [];
  readonly icmp: Received[] = [];
  /** Called after each packet: tests wait on it. */
  onPacket: () => void = () => undefined;
  readonly #listeners = new Map<number, (connection: TcpConnection) => TcpEvents>();
  #nextPort = 40000;

  constructor(options: PeerOptions) {
    this.ip = parseIpv4(options.ip);
    const subnet = parseSubnet(options.subnet ?? '10.0.2.0/24');
    const gateway = parseIpv4(options.gateway ?? '10.0.2.2');
    this.link = new Ipv4Link({
      port: options.port,
      clock: options.clock,
      mac: parseMac(options.mac),
      mtu: options.mtu ?? 1500,
      large: options.large === true,
      address: this.ip,
      owns: (address) => address === this.ip,
      nextHop: (address) => (inSubnet(subnet, address) ? address : gateway),
      mayClaim: () => true,
      packet: (packet) => this.#packet(packet),
      neighbourFound: () => undefined,
    });
    this.tcp = new TcpLayer({
      link: this.link,
      clock: options.clock,
      ...(options.tcp === undefined ? {} : { config: options.tcp }),
      ...(options.iss === undefined ? {} : { iss: options.iss }),
      ...(options.maxConnections === undefined ? {} : { maxConnections: options.maxConnections }),
      onSyn: (ends) => {
        const listener = this.#listeners.get(ends.localPort);
        if (listener === undefined) return undefined;
        return (connection) => {
          const events = listener(connection);
          options.clock.soon(() => connection.accept());
          return events;
        };
      },
    });
  }

  listen(port: number, accept: (connection: TcpConnection) => TcpEvents): void {
    this.#listeners.set(port, accept);
  }

  connect(address: string, port: number, events: TcpEvents): TcpConnection {
    const ends = {
      localAddress: this.ip,
      localPort: this.#nextPort++,
      remoteAddress: parseIpv4(address),
      remotePort: port,
    };
    return this.tcp.connect(ends, events);
  }

  sendUdp(sourcePort: number, address: string, port: number, data: Uint8Array): void {
    const destination = parseIpv4(address);
    this.link.sendPayload(PROTOCOL_UDP, this.ip, destination, buildUdp(this.ip, sourcePort, destination, port, data));
  }

  #packet(packet: Ipv4Packet): void {
    if (packet.destination !== this.ip && packet.destination !== 0xffff_ffff) return;
    const { source, bytes, start, length } = packet;
    if (packet.protocol === PROTOCOL_TCP) this.tcp.input(packet);
    else if (packet.protocol === PROTOCOL_ICMP) {
      this.icmp.push({ source, sourcePort: 0, destinationPort: 0, data: bytes.slice(start, start + length) });
    } else if (packet.protocol === PROTOCOL_UDP) {
      const datagram = parseUdp(packet);
      if (datagram !== undefined) this.datagrams.push({ source, ...datagram, data: datagram.data.slice() });
    }
    this.onPacket();
  }
}

/** An application that reads everything at once and remembers it. */
export class Sink implements TcpEvents {
  received: Uint8Array[] = [];
  bytes = 0;
  isConnected = false;
  ended = false;
  isClosed = false;
  fault: TcpFault | undefined;
  connection: TcpConnection | undefined;
  onWritable: () => void = () => undefined;
  onData: (chunk: Uint8Array) => void = () => undefined;
  /** Called after every event. */
  onEvent: () => void = () => undefined;

  connected(): void {
    this.isConnected = true;
    this.onEvent();
  }

  data(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.onData(chunk);
    this.connection?.consumed(chunk.length);
    this.onEvent();
  }

  end(): void {
    this.ended = true;
    this.onEvent();
  }

  writable(): void {
    this.onWritable();
    this.onEvent();
  }

  closed(fault?: TcpFault): void {
    this.isClosed = true;
    this.fault = fault;
    this.onEvent();
  }
}

/** The same, with the bytes kept. */
export class Recorder extends Sink {
  override data(chunk: Uint8Array): void {
    this.received.push(chunk.slice());
    super.data(chunk);
  }

  get text(): string {
    return new TextDecoder().decode(concat(this.received));
  }
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
