/**
 * The name server guests see: own names first, then the host's table of names (hosts(5)), then the host's resolver with
 * the query as it is. There is no IPv6 on this network, so a name of the first two has no AAAA records, which is not
 * the same as not being there: the answer is empty, and a client goes on with A.
 */
import { parseIpv4 } from '../address.js';
import { Shares } from '../shares.js';
import type { Sockets } from '../sockets.js';
import { word } from '../wire/dhcp.js';
import {
  answers,
  buildAnswer,
  parseQuery,
  Rcode,
  truncated,
  TYPE_A,
  TYPE_AAAA,
  type DnsQuestion,
} from '../wire/dns.js';
import type { Stations } from './stations.js';

/** Queries on their way at one time. */
const MAX_PENDING = 256;
/** Without EDNS a UDP reply has at most 512 octets (RFC 1035, 4.2.1); with it we keep within one frame. */
const UDP_LIMIT = 1400;
const TYPE_ANY = 255;
/** Types that the host's table of names has an answer for. */
const ADDRESS_TYPES: ReadonlySet<number> = new Set([TYPE_A, TYPE_AAAA, TYPE_ANY]);
const MAX_ADDRESSES = 16;
/** Seconds. */
const HOSTS_TTL = 60;
const LOOPBACK = 0x7f00_0001;

export class DnsServer {
  readonly #abort = new AbortController();
  readonly #shares: Shares;
  /** Queries dropped because their station has too many on their way. */
  crowded = 0;

  constructor(
    readonly sockets: Pick<Sockets, 'dnsExchange' | 'lookup'>,
    readonly names: ReadonlyMap<string, number>,
    /** The address under which a guest reaches the host's own 127.0.0.1. */
    readonly loopback: number,
    readonly stations: Stations,
  ) {
    this.#shares = new Shares(MAX_PENDING, () => stations.count());
  }

  /** The reply to a guest's query; undefined for what is none, or when too many of its own wait. Never rejects. */
  async answer(given: Uint8Array, stream: boolean, guest: number): Promise<Uint8Array | undefined> {
    const question = parseQuery(given);
    if (question === undefined || this.#abort.signal.aborted) return undefined;
    const station = this.stations.of(guest);
    if (!this.#shares.take(station)) {
      this.crowded++;
      return undefined;
    }
    // The frame around it need not wait for the answer.
    const query = given.slice();
    try {
      const reply = this.#own(query, question) ?? (await this.#outside(query, question, stream, station));
      return !stream && reply.length > UDP_LIMIT ? truncated(reply, question) : reply;
    } finally {
      this.#shares.give(station);
    }
  }

  /** Gives up what is on its way: nobody is there to be answered. */
  close(): void {
    this.#abort.abort();
  }

  #own(query: Uint8Array, question: DnsQuestion): Uint8Array | undefined {
    // RFC 6761, 6.3: who asks for localhost means itself.
    const address = /(^|\.)localhost$/.test(question.name) ? LOOPBACK : this.names.get(question.name);
    if (address === undefined) return undefined;
    return buildAnswer(query, question, Rcode.NoError, question.type === TYPE_A ? [word(address)] : [], 60);
  }

  async #outside(query: Uint8Array, question: DnsQuestion, stream: boolean, station: number): Promise<Uint8Array> {
    const known = await this.#lookup(question.name);
    if (known !== undefined && ADDRESS_TYPES.has(question.type)) {
      const wanted = question.type === TYPE_AAAA ? [] : known.slice(0, MAX_ADDRESSES);
      return buildAnswer(query, question, Rcode.NoError, wanted.map(word), HOSTS_TTL);
    }
    let reply: Uint8Array | undefined;
    const { descriptors } = this.stations;
    if (descriptors.take(station)) {
      try {
        reply = await this.sockets.dnsExchange(query, stream, this.#abort.signal);
        if (!answers(reply, query)) reply = undefined;
      } catch {
        // No server, or no answer.
      } finally {
        descriptors.give(station);
      }
    } else this.crowded++;
    if (reply !== undefined && (known === undefined || (reply[3] & 15) === Rcode.NoError)) return reply;
    // The name is there, whatever the servers think: it only has nothing of this type.
    return buildAnswer(query, question, known === undefined ? Rcode.ServerFailure : Rcode.NoError, [], 0);
  }

  /**
   * What the host's table of names has: IPv4 addresses, perhaps none of them; undefined if it does not have the name.
   * The host's own loopback is the gateway to a guest: there it finds the service that was meant.
   */
  async #lookup(name: string): Promise<number[] | undefined> {
    if (name === '') return undefined;
    try {
      const found = await this.sockets.lookup(name, 4);
      if (found.length === 0 && (await this.sockets.lookup(name, 6)).length === 0) return undefined;
      const addresses = found.map(parseIpv4).map((address) => (address >>> 24 === 127 ? this.loopback : address));
      return [...new Set(addresses)];
    } catch {
      return undefined;
    }
  }
}
