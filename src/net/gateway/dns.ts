/**
 * The name server guests see: own names first, then the host's resolver with the query as it is, then the host's name
 * service (hosts file and the like), which knows names that no DNS server does.
 */
import { parseIpv4 } from '../address.js';
import type { Sockets } from '../sockets.js';
import { word } from '../wire/dhcp.js';
import { answers, buildAnswer, parseQuery, Rcode, truncated, TYPE_A, type DnsQuestion } from '../wire/dns.js';

/** Queries on their way at one time. */
const MAX_PENDING = 256;
/** Without EDNS a UDP reply has at most 512 octets (RFC 1035, 4.2.1); with it we keep within one frame. */
const UDP_LIMIT = 1400;

export class DnsServer {
  #pending = 0;

  constructor(
    readonly sockets: Pick<Sockets, 'dnsExchange' | 'lookup'>,
    readonly names: ReadonlyMap<string, number>,
  ) {}

  /** The reply to a query; undefined for what is none, or when too many wait. Never rejects. */
  async answer(query: Uint8Array, stream: boolean): Promise<Uint8Array | undefined> {
    const question = parseQuery(query);
    if (question === undefined || this.#pending >= MAX_PENDING) return undefined;
    this.#pending++;
    try {
      const reply = this.#own(query, question) ?? (await this.#outside(query, question, stream));
      return !stream && reply.length > UDP_LIMIT ? truncated(reply, question) : reply;
    } finally {
      this.#pending--;
    }
  }

  #own(query: Uint8Array, question: DnsQuestion): Uint8Array | undefined {
    const address = this.names.get(question.name);
    if (address === undefined) return undefined;
    return buildAnswer(query, question, Rcode.NoError, question.type === TYPE_A ? [word(address)] : [], 60);
  }

  async #outside(query: Uint8Array, question: DnsQuestion, stream: boolean): Promise<Uint8Array> {
    let reply: Uint8Array | undefined;
    try {
      reply = await this.sockets.dnsExchange(query, stream);
      if (!answers(reply, query)) reply = undefined;
    } catch {
      // No server, or no answer: the name service below may still know.
    }
    if (reply !== undefined && (reply[3] & 15) === Rcode.NoError) return reply;
    const known = await this.#lookup(question);
    if (known.length > 0) return buildAnswer(query, question, Rcode.NoError, known, 60);
    return reply ?? buildAnswer(query, question, Rcode.ServerFailure, [], 0);
  }

  async #lookup(question: DnsQuestion): Promise<Uint8Array[]> {
    if (question.type !== TYPE_A || question.name === '') return [];
    try {
      return (await this.sockets.lookup(question.name, 4)).slice(0, 16).map((a) => word(parseIpv4(a)));
    } catch {
      return [];
    }
  }
}
