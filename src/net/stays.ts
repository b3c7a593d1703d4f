/**
 * Connections that stay where they are while their address has gone to another port: what a domain had closed, and its
 * kernel has yet to bring to their end, when the domain moved. Whoever has such a connection speaks in it, and hears what
 * is said in it; nobody else does. All else under that address is the other port's.
 */
import type { GateTarget } from './port.js';
import { ARP_REPLY, ARP_REQUEST, parseArp } from './wire/arp.js';
import { get16, get32, getMac } from './wire/bytes.js';
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4 } from './wire/ethernet.js';
import { PROTOCOL_TCP } from './wire/ipv4.js';

/** A TCP connection as the station sees it that has it; addresses as numbers. */
export interface Connection {
  readonly ip: number;
  readonly port: number;
  readonly peerIp: number;
  readonly peerPort: number;
}

/** Connections that stay at a port. */
export interface Stay {
  /** Those of them that are over; left out: all of them. */
  end(connections?: readonly Connection[]): void;
}

interface Entry<P> {
  readonly port: P;
  readonly mac: number;
  readonly ip: number;
}

export class Stays<P extends object> {
  readonly #entries = new Map<string, Entry<P>>();

  get size(): number {
    return this.#entries.size;
  }

  add(port: P, { mac, ip }: Required<GateTarget>, connections: readonly Connection[]): Stay {
    const entry: Entry<P> = { port, mac, ip };
    const keys = connections.map(keyOf);
    for (const key of keys) this.#entries.set(key, entry);
    return {
      end: (some) => {
        for (const key of some?.map(keyOf) ?? keys) if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    };
  }

  forget(port: P): void {
    for (const [key, entry] of this.#entries) if (entry.port === port) this.#entries.delete(key);
  }

  /** The only port that may say this, under its MAC address: a segment of a connection that stays. */
  speaker(frame: Uint8Array): P | undefined {
    const ends = endsOf(frame);
    if (ends === undefined) return undefined;
    const { from, fromPort, to, toPort } = ends;
    const entry = this.#entries.get(keyOf({ ip: from, port: fromPort, peerIp: to, peerPort: toPort }));
    return entry?.mac === getMac(frame, 6) ? entry.port : undefined;
  }

  /** Whether a port that has connections asks for the neighbour that their segments go to. */
  asks(port: P, frame: Uint8Array): boolean {
    if (get16(frame, 12) !== TYPE_ARP) return false;
    const arp = parseArp(frame);
    if (arp?.operation !== ARP_REQUEST || arp.senderMac !== getMac(frame, 6)) return false;
    for (const e of this.#entries.values())
      if (e.port === port && e.mac === arp.senderMac && e.ip === arp.senderIp) return true;
    return false;
  }

  /** Who has the connection that a segment is for. */
  listener(frame: Uint8Array): P | undefined {
    const ends = endsOf(frame);
    if (ends === undefined) return undefined;
    const { from, fromPort, to, toPort } = ends;
    return this.#entries.get(keyOf({ ip: to, port: toPort, peerIp: from, peerPort: fromPort }))?.port;
  }

  /** Who may have asked what a frame answers, beside who has the address. */
  askers(frame: Uint8Array): readonly P[] {
    if (get16(frame, 12) !== TYPE_ARP || parseArp(frame)?.operation !== ARP_REPLY) return [];
    const to = getMac(frame, 0);
    return [...new Set([...this.#entries.values()].filter(({ mac }) => mac === to).map(({ port }) => port))];
  }
}

const keyOf = ({ ip, port, peerIp, peerPort }: Connection): string => `${ip}:${port} ${peerIp}:${peerPort}`;

/** The ends of a whole TCP segment in IPv4. */
function endsOf(
  frame: Uint8Array,
): { readonly from: number; readonly fromPort: number; readonly to: number; readonly toPort: number } | undefined {
  if (frame.length < ETHERNET_HEADER + 40 || get16(frame, 12) !== TYPE_IPV4) return undefined;
  if (frame[ETHERNET_HEADER + 9] !== PROTOCOL_TCP || (get16(frame, ETHERNET_HEADER + 6) & 0x1fff) !== 0)
    return undefined;
  const at = ETHERNET_HEADER + (frame[ETHERNET_HEADER] & 15) * 4;
  if (at + 4 > frame.length) return undefined;
  return {
    from: get32(frame, ETHERNET_HEADER + 12),
    to: get32(frame, ETHERNET_HEADER + 16),
    fromPort: get16(frame, at),
    toPort: get16(frame, at + 2),
  };
}
