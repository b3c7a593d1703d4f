/**
 * The outside network as guests see it, and its way in: a station on the switch that routes to the host's own sockets.
 * No packet leaves the host as the guest sent it; connections end here and are made anew by the host.
 */
import { BROADCAST_MAC, inSubnet } from '../address.js';
import { Ipv4Link } from '../link.js';
import type { GateTarget, Release } from '../port.js';
import type { TcpConnection } from '../tcp/connection.js';
import { TcpLayer } from '../tcp/layer.js';
import type { Endpoints, TcpEvents } from '../tcp/tcb.js';
import { formatIpv4 } from '../address.js';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from '../wire/dhcp.js';
import { DNS_PORT } from '../wire/dns.js';
import { echoReply, HOST_UNREACHABLE, PORT_UNREACHABLE, PROHIBITED, quoted, unreachable } from '../wire/icmp.js';
import { Ipv4Packet, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.js';
import { buildUdp, parseUdp, UDP_HEADER } from '../wire/udp.js';
import { set16, set32 } from '../wire/bytes.js';
import { hostAddress, validate, type GatewayConfig, type GatewayOptions } from './config.js';
import { DhcpServer } from './dhcp.js';
import { DnsServer } from './dns.js';
import { dnsOverTcp } from './dns-stream.js';
import { Forwards, type Forward, type ForwardOptions } from './forwards.js';
import { Relay } from './relay.js';
import { Stations } from './stations.js';
import { UdpNat, type Refusal } from './udp-nat.js';

/** How much goes through a gateway at the moment. */
export interface GatewayStatus {
  readonly tcpConnections: number;
  readonly udpFlows: number;
  readonly forwards: readonly Forward[];
  /** Packets dropped because a header or checksum did not hold. */
  readonly malformed: number;
  /** Connections, datagrams and queries refused because a guest's share of a table was used up. */
  readonly crowded: number;
}

/** The way out and in: ARP, DHCP, DNS, TCP and UDP between guests and the host's sockets. */
export class Gateway {
  readonly config: GatewayConfig;
  readonly #options: GatewayOptions;
  readonly #link: Ipv4Link;
  readonly #tcp: TcpLayer;
  readonly #udp: UdpNat;
  readonly #dhcp: DhcpServer;
  readonly #dns: DnsServer;
  readonly #forwards: Forwards;
  /** IPv4 address → the only MAC address that may claim it. */
  readonly #claims = new Map<number, number>();
  /** Connections of guests with what they lead to; a stream may outlive the guest's side of it. */
  readonly #relays = new Set<Relay>();
  readonly #stations: Stations;
  #crowded = 0;
  #malformedUdp = 0;
  #closed = false;

  /** Throws NetError `BAD_CONFIG`. */
  constructor(options: GatewayOptions) {
    const config = validate(options);
    this.config = config;
    this.#options = options;
    const { port, sockets, clock } = options;
    this.#stations = new Stations(port.addresses, sockets.descriptors);
    const stationOf = (address: number): number => this.#stations.of(address);
    port.addresses.route(config.subnet);
    port.addresses.register({ mac: config.mac, ip: config.gateway });
    port.addresses.register({ ip: config.dns });
    for (const [mac, address] of config.leases) {
      this.#claims.set(address, mac);
      port.addresses.lease(address, mac);
    }
    this.#link = new Ipv4Link({
      port,
      clock,
      mac: config.mac,
      mtu: config.mtu,
      large: true,
      address: config.gateway,
      owns: (address) => address === config.gateway || address === config.dns,
      nextHop: (address) => address,
      mayClaim: (address, mac) =>
        inSubnet(config.subnet, address) && (this.#claims.get(address) ?? mac) === mac && mac !== config.mac,
      packet: (packet) => this.#packet(packet),
      stationOf,
      neighbourFound: (address) => this.kick(formatIpv4(address)),
    });
    this.#tcp = new TcpLayer({
      link: this.#link,
      clock,
      onSyn: (ends) => this.#syn(ends),
      stationOf,
      stations: () => this.#stations.count(),
      ...(options.tcp === undefined ? {} : { config: options.tcp }),
      ...(options.maxConnections === undefined ? {} : { maxConnections: options.maxConnections }),
    });
    this.#udp = new UdpNat(
      config,
      sockets,
      clock,
      this.#stations,
      (...datagram) => this.#sendUdp(...datagram),
      (...datagram) => this.#refusedUdp(...datagram),
    );
    this.#dhcp = new DhcpServer(config, port.addresses, () => clock.now());
    this.#dns = new DnsServer(sockets, config.names, config.gateway, this.#stations);
    this.#forwards = new Forwards(
      config,
      sockets,
      this.#tcp,
      this.#stations,
      this.#relays,
      (sourcePort, guest, guestPort, data) => this.#sendUdp(config.gateway, sourcePort, guest, guestPort, data),
    );
    port.onReady = () => this.#tcp.writable();
    port.onHold = (target) => this.#held(target);
    port.onRelease = (release) => this.#released(release);
  }

  /**
   * Opens a port of the host that leads to a guest. The guest need not be there yet.
   * Rejects with NetError `PORT_IN_USE`, `PORT_DENIED`, `NO_SUCH_ADDRESS`, `HOST_SOCKET` or `BAD_CONFIG`.
   */
  forward(options: ForwardOptions): Promise<Forward> {
    return this.#forwards.open(options);
  }

  /**
   * Sends again at once what a guest has not acknowledged, instead of waiting for timers: for a guest that was stopped
   * and goes on. A switch gate's release does it by itself. Without an address, for all guests.
   */
  kick(guest?: string): void {
    for (const connection of this.#connectionsOf(guest)) connection.kick();
  }

  status(): GatewayStatus {
    return {
      tcpConnections: this.#tcp.size,
      udpFlows: this.#udp.size,
      forwards: this.#forwards.list(),
      malformed: this.#link.counters.malformed + this.#tcp.counters.malformed + this.#malformedUdp,
      crowded:
        this.#crowded + this.#tcp.counters.crowded + this.#udp.crowded + this.#dns.crowded + this.#forwards.crowded,
    };
  }

  /** Ends all connections with RST, closes all host sockets, unplugs from the switch. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#tcp.close(true);
    for (const relay of [...this.#relays]) relay.abort();
    this.#udp.close();
    this.#dns.close();
    await this.#forwards.close();
    this.#link.close();
    this.#options.port.close();
  }

  #connectionsOf(guest: string | undefined): TcpConnection[] {
    const all = [...this.#tcp.connections()];
    return guest === undefined ? all : all.filter((c) => formatIpv4(c.tcb.ends.remoteAddress) === guest);
  }

  #matching(target: GateTarget): TcpConnection[] {
    return [...this.#tcp.connections()].filter(({ tcb: { ends } }) => {
      if (ends.remoteAddress === target.ip) return true;
      return target.mac !== undefined && this.#link.neighbours.macOf(ends.remoteAddress) === target.mac;
    });
  }

  #held(target: GateTarget): void {
    for (const connection of this.#matching(target)) connection.suspend();
  }

  #released(release: Release): void {
    const connections = this.#matching(release);
    const { ip, newMac } = release;
    if (ip !== undefined && newMac !== undefined) {
      if (this.#claims.has(ip)) this.#claims.set(ip, newMac);
      this.#link.neighbours.learn(ip, newMac, true);
    }
    for (const connection of connections) connection.resume();
  }

  #packet(packet: Ipv4Packet): void {
    if (packet.protocol === PROTOCOL_TCP) {
      if (packet.source !== 0 && packet.source !== this.config.broadcast) this.#tcp.input(packet);
    } else if (packet.protocol === PROTOCOL_UDP) this.#udpPacket(packet);
    else if (packet.protocol === PROTOCOL_ICMP) this.#icmpPacket(packet);
  }

  /** A guest opens a TCP connection: the host opens its own first, and its outcome is the guest's answer. */
  #syn(ends: Endpoints): ((connection: TcpConnection) => TcpEvents) | undefined {
    if (ends.localAddress === this.config.dns && ends.localPort === DNS_PORT) {
      return (connection) => dnsOverTcp(connection, this.#dns);
    }
    const address = hostAddress(this.config, ends.localAddress);
    const guest = formatIpv4(ends.remoteAddress);
    if (!inSubnet(this.config.subnet, ends.remoteAddress) || address === undefined) return undefined;
    if (!this.config.allow({ protocol: 'tcp', address, port: ends.localPort, guest })) return undefined;
    const { descriptors } = this.#stations;
    const station = this.#stations.of(ends.remoteAddress);
    if (!descriptors.take(station)) {
      this.#crowded++;
      return undefined;
    }
    return (connection) => {
      const relay = new Relay({
        streamConnected: () => connection.accept(),
        streamFailed: (fault) => {
          if (fault === 'unreachable' || fault === 'timeout') this.#hostUnreachable(connection);
          else connection.abort();
        },
        done: () => {
          if (this.#relays.delete(relay)) descriptors.give(station);
        },
      });
      this.#relays.add(relay);
      relay.connection = connection;
      relay.setStream(this.#options.sockets.connect(address, ends.localPort, relay.streamEvents), false);
      return relay.tcpEvents;
    };
  }

  /** The connection's SYN was in vain: says so by ICMP, which quotes the SYN's header as it must have been. */
  #hostUnreachable(connection: TcpConnection): void {
    const { ends, irs } = connection.tcb;
    const syn = new Uint8Array(8);
    set16(syn, 0, ends.remotePort);
    set16(syn, 2, ends.localPort);
    set32(syn, 4, irs);
    this.#unreachable(PROTOCOL_TCP, ends.remoteAddress, ends.localAddress, syn, HOST_UNREACHABLE);
    connection.drop();
  }

  /** The host was told that a guest's datagram arrived nowhere: so is the guest. */
  #refusedUdp(guest: number, port: number, destination: number, to: number, why: Refusal): void {
    const datagram = new Uint8Array(UDP_HEADER);
    set16(datagram, 0, port);
    set16(datagram, 2, to);
    set16(datagram, 4, UDP_HEADER);
    const code = why === 'refused' ? PORT_UNREACHABLE : HOST_UNREACHABLE;
    this.#unreachable(PROTOCOL_UDP, guest, destination, datagram, code);
  }

  /** What the guest sent to `destination`, whose first 8 bytes were `first`, did not get there. */
  #unreachable(protocol: number, guest: number, destination: number, first: Uint8Array, code: number): void {
    if (this.#closed) return;
    const message = unreachable(quoted(protocol, guest, destination, first), code);
    // Port unreachable is what the addressed host itself says (RFC 1122, 3.2.2.1).
    const source = code === PORT_UNREACHABLE ? destination : this.config.gateway;
    this.#link.sendPayload(PROTOCOL_ICMP, source, guest, message);
  }

  #udpPacket(packet: Ipv4Packet): void {
    const datagram = parseUdp(packet);
    if (datagram === undefined) {
      this.#malformedUdp++;
      return;
    }
    const { source, destination } = packet;
    const { sourcePort, destinationPort, data } = datagram;
    if (destinationPort === DHCP_SERVER_PORT && sourcePort === DHCP_CLIENT_PORT) {
      // The switch has compared its addresses, which it cannot do for a message in pieces.
      if (packet.header === 0) this.#malformedUdp++;
      else if (destination === this.config.gateway || destination === 0xffff_ffff) this.#dhcpMessage(data);
      return;
    }
    if (!inSubnet(this.config.subnet, source) || destination === this.config.broadcast || destination === 0xffff_ffff) {
      return;
    }
    if (destination === this.config.dns && destinationPort === DNS_PORT) {
      void this.#dns.answer(data, false, source).then((reply) => {
        if (reply !== undefined) this.#sendUdp(destination, DNS_PORT, source, sourcePort, reply);
      });
      return;
    }
    if (destination === this.config.gateway && this.#forwards.udpFromGuest(source, sourcePort, destinationPort, data)) {
      return;
    }
    if (!this.#udp.send(source, sourcePort, destination, destinationPort, data) && destination >>> 28 < 14) {
      this.#link.sendPayload(PROTOCOL_ICMP, this.config.gateway, source, unreachable(packet, PORT_UNREACHABLE));
    }
  }

  #dhcpMessage(data: Uint8Array): void {
    const reply = this.#dhcp.answer(data);
    if (reply === undefined) return;
    const broadcast = reply.address === this.config.broadcast;
    const destination = broadcast ? 0xffff_ffff : reply.address;
    const { gateway } = this.config;
    const payload = buildUdp(gateway, DHCP_SERVER_PORT, destination, DHCP_CLIENT_PORT, reply.message);
    this.#link.sendPayload(PROTOCOL_UDP, gateway, destination, payload, broadcast ? BROADCAST_MAC : reply.mac);
  }

  #icmpPacket(packet: Ipv4Packet): void {
    const { source, destination, start } = packet;
    if (!inSubnet(this.config.subnet, source)) return;
    const reply = echoReply(packet);
    if (reply === undefined) return;
    if (destination === this.config.gateway || destination === this.config.dns) {
      this.#link.sendPayload(PROTOCOL_ICMP, destination, source, reply);
    } else if (start > 0 && !inSubnet(this.config.subnet, destination) && destination >>> 28 < 14) {
      // Echo beyond the host takes rights an ordinary user lacks: better an answer than silence.
      this.#link.sendPayload(PROTOCOL_ICMP, this.config.gateway, source, unreachable(packet, PROHIBITED));
    }
  }

  #sendUdp(source: number, sourcePort: number, guest: number, port: number, data: Uint8Array): void {
    if (this.#closed) return;
    const payload = buildUdp(source, sourcePort, guest, port, data);
    this.#link.sendPayload(PROTOCOL_UDP, source, guest, payload);
  }
}
