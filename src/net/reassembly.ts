/**
 * IPv4 reassembly (RFC 791, 3.2) of what untrusted senders fragment. Datagrams with overlapping fragments are dropped
 * whole, as RFC 5722 does for IPv6: nobody honest sends them. Bounded in datagrams, pieces, bytes and time; who has most
 * unfinished ones loses one when there are too many.
 */
import { crowdedMost } from './crowd.js';
import { Ipv4Packet, MORE_FRAGMENTS, writeIpv4Header, IPV4_HEADER } from './wire/ipv4.js';

const MAX_DATAGRAMS = 64;
/** The largest datagram has 120 where the MTU is 576, the least that is allowed. */
const MAX_PIECES = 256;
const MAX_PAYLOAD = 65535 - IPV4_HEADER;
/** RFC 791 proposes 15 seconds; nothing here is far away. */
const LIFETIME_MS = 15_000;

interface Partial {
  readonly source: number;
  readonly born: number;
  /** Fragments by offset, sorted, disjoint. */
  readonly pieces: { readonly offset: number; readonly data: Uint8Array }[];
  /** Bytes received. */
  received: number;
  /** The whole payload's length, once the last fragment came; -1 before. */
  total: number;
}

export class Reassembler {
  readonly #partials = new Map<string, Partial>();
  dropped = 0;

  constructor(
    readonly now: () => number,
    readonly stationOf: (address: number) => number = () => 0,
  ) {}

  /** Takes a fragment. Gives the whole packet, in bytes of its own, if this fragment completed it. */
  add(packet: Ipv4Packet): Ipv4Packet | undefined {
    const more = (packet.fragment & MORE_FRAGMENTS) !== 0;
    const offset = (packet.fragment & 0x1fff) * 8;
    const end = offset + packet.length;
    const key = `${packet.source} ${packet.destination} ${packet.protocol} ${packet.identification}`;
    this.#expire();
    const partial = this.#partials.get(key) ?? this.#begin(packet.source);
    if (!accept(partial, packet, offset, more)) {
      this.#partials.delete(key);
      this.dropped++;
      return undefined;
    }
    partial.received += packet.length;
    if (!more) partial.total = end;
    if (partial.received !== partial.total) {
      this.#partials.set(key, partial);
      this.#evict();
      return undefined;
    }
    this.#partials.delete(key);
    return assemble(packet, partial);
  }

  #begin(source: number): Partial {
    return { source, born: this.now(), pieces: [], received: 0, total: -1 };
  }

  #expire(): void {
    const oldest = this.now() - LIFETIME_MS;
    for (const [key, partial] of this.#partials) {
      if (partial.born > oldest) return;
      this.#partials.delete(key);
      this.dropped++;
    }
  }

  #evict(): void {
    if (this.#partials.size <= MAX_DATAGRAMS) return;
    const oldest = crowdedMost(this.#partials, ([, { source }]) => this.stationOf(source));
    if (oldest === undefined) return;
    this.#partials.delete(oldest[0]);
    this.dropped++;
  }
}

/** Inserts the fragment if it fits with the others. */
function accept(partial: Partial, packet: Ipv4Packet, offset: number, more: boolean): boolean {
  const end = offset + packet.length;
  if (packet.length === 0 || end > MAX_PAYLOAD) return false;
  if (more && (packet.length & 7) !== 0) return false;
  const { pieces } = partial;
  if (pieces.length >= MAX_PIECES) return false;
  if (!more && (partial.total >= 0 || (pieces.length > 0 && lastEnd(pieces) > end))) return false;
  if (more && partial.total >= 0 && end > partial.total) return false;
  let at = pieces.length;
  while (at > 0 && pieces[at - 1].offset > offset) at--;
  const before = at > 0 ? pieces[at - 1] : undefined;
  const after = at < pieces.length ? pieces[at] : undefined;
  if (before !== undefined && before.offset + before.data.length > offset) return false;
  if (after !== undefined && end > after.offset) return false;
  pieces.splice(at, 0, { offset, data: packet.bytes.slice(packet.start, packet.start + packet.length) });
  return true;
}

function lastEnd(pieces: Partial['pieces']): number {
  const last = pieces[pieces.length - 1];
  return last.offset + last.data.length;
}

function assemble(packet: Ipv4Packet, partial: Partial): Ipv4Packet {
  const bytes = new Uint8Array(IPV4_HEADER + partial.total);
  for (const piece of partial.pieces) bytes.set(piece.data, IPV4_HEADER + piece.offset);
  const { source, destination, protocol, identification } = packet;
  writeIpv4Header(bytes, 0, partial.total, protocol, source, destination, identification, 0);
  const whole = new Ipv4Packet();
  Object.assign(whole, {
    bytes,
    source,
    destination,
    protocol,
    identification,
    start: IPV4_HEADER,
    length: partial.total,
  });
  return whole;
}
