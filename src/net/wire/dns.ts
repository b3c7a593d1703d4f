/**
 * The little of DNS a forwarder needs (RFC 1035, 4.1): the question of a query, and answers of its own.
 *
 *   0 ID   2 flags (QR 8000, TC 0200, RD 0100, RA 0080, RCODE low 4)   4 QDCOUNT   6 ANCOUNT   8 NSCOUNT   10 ARCOUNT
 *   12 question: labels (length, text)… 0, type, class
 */
import { get16, set16, set32 } from './bytes.js';

export const DNS_PORT = 53;
export const TYPE_A = 1;
export const TYPE_AAAA = 28;
const CLASS_IN = 1;

/** Response codes (RFC 1035, 4.1.1). */
export const Rcode = { NoError: 0, FormatError: 1, ServerFailure: 2, NameError: 3 } as const;

export interface DnsQuestion {
  readonly id: number;
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Where the question section ends. */
  readonly end: number;
}

/** The question of a standard query with one question; undefined for anything else. */
export function parseQuery(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < 17 || (get16(message, 2) & 0xf800) !== 0 || get16(message, 4) !== 1) return undefined;
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    const length = message[at];
    // No compression in a question that comes first; and a name has at most 255 octets.
    if (length === undefined || length > 63 || at + length + 5 > message.length || at > 12 + 255) return undefined;
    if (length === 0) break;
    labels.push(String.fromCharCode(...message.subarray(at + 1, at + 1 + length)).toLowerCase());
    at += 1 + length;
  }
  return {
    id: get16(message, 0),
    name: labels.join('.'),
    type: get16(message, at + 1),
    class: get16(message, at + 3),
    end: at + 5,
  };
}

/** An answer to `query` with address records (4 or 16 octets each), or with an error. */
export function buildAnswer(
  query: Uint8Array,
  question: DnsQuestion,
  rcode: number,
  addresses: readonly Uint8Array[],
  ttl: number,
): Uint8Array {
  const size = addresses.reduce((sum, a) => sum + 12 + a.length, question.end);
  const out = new Uint8Array(size);
  out.set(query.subarray(0, question.end));
  set16(out, 2, 0x8080 | (get16(query, 2) & 0x0100) | rcode);
  set16(out, 6, addresses.length);
  set16(out, 8, 0);
  set16(out, 10, 0);
  let at = question.end;
  for (const address of addresses) {
    set16(out, at, 0xc00c);
    set16(out, at + 2, address.length === 4 ? TYPE_A : TYPE_AAAA);
    set16(out, at + 4, CLASS_IN);
    set32(out, at + 6, ttl);
    set16(out, at + 10, address.length);
    out.set(address, at + 12);
    at += 12 + address.length;
  }
  return out;
}

/** A reply cut down to its question, with TC set: ask again over TCP. */
export function truncated(reply: Uint8Array, question: DnsQuestion): Uint8Array {
  const out = reply.slice(0, question.end);
  out[2] |= 0x02;
  for (let at = 6; at < 12; at++) out[at] = 0;
  return out;
}

/** Whether `reply` answers `query`: a response, with its ID and question. */
export function answers(reply: Uint8Array, query: Uint8Array): boolean {
  const question = parseQuery(query);
  if (question === undefined || reply.length < 12 || (reply[2] & 0x80) === 0) return false;
  if (get16(reply, 0) !== question.id) return false;
  // Errors may come without the question.
  if (get16(reply, 4) === 0) return true;
  const echoed = reply.slice(0, question.end);
  echoed[2] &= 0x07;
  const asked = parseQuery(echoed);
  return asked?.name === question.name && asked.type === question.type;
}
