/**
 * An IPv4 station on a switch port: Ethernet, ARP, IPv4 with fragments. What is above it (the gateway, or a peer in a
 * test) sees packets that have passed every check, and sends frames it fills in place.
 *
 *   0              14            34
 *   +--------------+-------------+-----------------…
 *   | Ethernet     | IPv4, plain | payload, filled by the caller of `allocate`
 *   +--------------+-------------+-----------------…
 */
import { FrameArena } from './arena.js';
import { BROADCAST_MAC } from './address.js';
import type { Clock } from './clock.js';
import { Neighbours } from './neighbours.js';
import type { Port } from './port.js';
import { Reassembler } from './reassembly.js';
import { ARP_REPLY, ARP_REQUEST, buildArp, parseArp } from './wire/arp.js';
import { get16, get32, getMac, setMac } from './wire/bytes.js';
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4, writeEthernet } from './wire/ethernet.js';
import { IPV4_HEADER, Ipv4Packet, MORE_FRAGMENTS, parseIpv4Header, writeIpv4Header } from './wire/ipv4.js';

/** Where the payload of an allocated frame begins. */
export const PAYLOAD = ETHERNET_HEADER + IPV4_HEADER;

export interface LinkOptions {
  readonly port: Port;
  readonly clock: Clock;
  readonly mac: number;
  /** Largest IPv4 packet in bytes. */
  readonly mtu: number;
  /** Large frames (large.ts) are taken, and sent: not unless told. */
  readonly large?: boolean;
  /** The address ARP requests are sent from. */
  readonly address: number;
  /** The addresses this station answers ARP requests for. */
  owns(address: number): boolean;
  /** The station on the link through which an address is reached; itself if it is on the link. */
  nextHop(address: number): number;
  /** Whether a station may have an address: untrusted ones claim what they like. */
  mayClaim(address: number, mac: number): boolean;
  /** A packet, whole and verified up to its IPv4 header; the object is reused after the call. */
  packet(packet: Ipv4Packet): void;
  /** Whose share of the tables an address takes; all alike unless told. */
  stationOf?(address: number): number;
  /** The MAC address of a station on the link became known or changed. */
  neighbourFound(address: number): void;
}

export interface LinkCounters {
  /** Frames with a header that does not hold. */
  malformed: number;
}

export class Ipv4Link {
  readonly counters: LinkCounters = { malformed: 0 };
  readonly neighbours: Neighbours;
  readonly mtu: number;
  readonly large: boolean;
  readonly #options: LinkOptions;
  readonly #arena = new FrameArena();
  readonly #packet = new Ipv4Packet();
  readonly #reassembler: Reassembler;
  #identification = 0;
  #port: Port;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.mtu = options.mtu;
    this.large = options.large === true;
    const stationOf = (address: number): number => options.stationOf?.(address) ?? 0;
    this.#reassembler = new Reassembler(() => options.clock.now(), stationOf);
    this.neighbours = new Neighbours(
      options.clock,
      (ip, mac) => this.#ask(ip, mac),
      (frame, mac) => {
        setMac(frame, 0, mac);
        this.#port.send(frame);
      },
      (ip) => options.neighbourFound(ip),
      stationOf,
    );
    this.#port = options.port;
    this.move(options.port);
  }

  /** A frame with Ethernet (but for the destination) and IPv4 headers, and `length` bytes of payload to fill in. */
  allocate(protocol: number, source: number, destination: number, length: number): Uint8Array {
    const frame = this.#arena.allocate(PAYLOAD + length);
    this.#fill(frame, protocol, source, destination, length, 0x4000, 0);
    return frame;
  }

  /** Sends an allocated frame. False: its destination has much to digest. */
  transmit(frame: Uint8Array): boolean {
    const hop = this.#options.nextHop(get32(frame, 30));
    const mac = this.neighbours.resolve(hop, frame);
    if (mac === undefined) return true;
    setMac(frame, 0, mac);
    return this.#port.send(frame);
  }

  /** Sends a payload as one packet, or as fragments if it exceeds the MTU. `mac` saves the ARP look-up. */
  sendPayload(protocol: number, source: number, destination: number, payload: Uint8Array, mac?: number): void {
    const room = this.mtu - IPV4_HEADER;
    const step = payload.length <= room ? payload.length : room & ~7;
    this.#identification = (this.#identification + 1) & 0xffff;
    let at = 0;
    do {
      const length = Math.min(step, payload.length - at);
      const more = at + length < payload.length ? MORE_FRAGMENTS : 0;
      const frame = this.#arena.allocate(PAYLOAD + length);
      this.#fill(frame, protocol, source, destination, length, more | (at >>> 3), this.#identification);
      frame.set(payload.subarray(at, at + length), PAYLOAD);
      if (mac === undefined) this.transmit(frame);
      else {
        setMac(frame, 0, mac);
        this.#port.send(frame);
      }
      at += length;
    } while (at < payload.length);
  }

  /** Goes on behind another port of the switch. */
  move(port: Port): void {
    this.#port.onFrame = undefined;
    this.#port = port;
    port.acceptsLarge = () => this.large;
    port.onFrame = (frame) => {
      this.#input(frame);
      return true;
    };
  }

  close(): void {
    this.neighbours.close();
    this.#port.onFrame = undefined;
  }

  #fill(
    frame: Uint8Array,
    protocol: number,
    source: number,
    destination: number,
    length: number,
    fragment: number,
    identification: number,
  ): void {
    writeEthernet(frame, 0, this.#options.mac, TYPE_IPV4);
    writeIpv4Header(frame, ETHERNET_HEADER, length, protocol, source, destination, identification, fragment);
  }

  #input(frame: Uint8Array): void {
    if (frame.length < ETHERNET_HEADER) return;
    const destination = getMac(frame, 0);
    if (destination !== this.#options.mac && destination !== BROADCAST_MAC) return;
    const type = get16(frame, 12);
    if (type === TYPE_IPV4) this.#inputIpv4(frame);
    else if (type === TYPE_ARP) this.#inputArp(frame);
  }

  #inputIpv4(frame: Uint8Array): void {
    const packet = this.#packet;
    if (!parseIpv4Header(frame, ETHERNET_HEADER, packet)) {
      this.counters.malformed++;
      return;
    }
    // Only addresses that are reached directly: a router's MAC must not be learned for all the world.
    const { nextHop, mayClaim } = this.#options;
    const mac = getMac(frame, 6);
    if (packet.source !== 0 && nextHop(packet.source) === packet.source && mayClaim(packet.source, mac)) {
      this.neighbours.learn(packet.source, mac, false);
    }
    if (!packet.isFragment) this.#options.packet(packet);
    else {
      const whole = this.#reassembler.add(packet);
      if (whole !== undefined) this.#options.packet(whole);
    }
  }

  #inputArp(frame: Uint8Array): void {
    const arp = parseArp(frame);
    // The Ethernet source must be the one the packet speaks of: it is what the switch has checked.
    if (arp === undefined || arp.senderMac !== getMac(frame, 6)) {
      this.counters.malformed++;
      return;
    }
    const { owns, mac } = this.#options;
    if (owns(arp.senderIp) || (arp.senderIp !== 0 && !this.#options.mayClaim(arp.senderIp, arp.senderMac))) return;
    const own = owns(arp.targetIp);
    const announces = arp.targetIp === arp.senderIp;
    if (arp.senderIp !== 0 && (own || announces)) this.neighbours.learn(arp.senderIp, arp.senderMac, true);
    if (own && arp.operation === ARP_REQUEST) {
      this.#port.send(
        buildArp(arp.senderMac, {
          operation: ARP_REPLY,
          senderMac: mac,
          senderIp: arp.targetIp,
          targetMac: arp.senderMac,
          targetIp: arp.senderIp,
        }),
      );
    }
  }

  #ask(ip: number, mac: number | undefined): void {
    const { address } = this.#options;
    this.#port.send(
      buildArp(mac ?? BROADCAST_MAC, {
        operation: ARP_REQUEST,
        senderMac: this.#options.mac,
        senderIp: address,
        targetMac: 0,
        targetIp: ip,
      }),
    );
  }
}
