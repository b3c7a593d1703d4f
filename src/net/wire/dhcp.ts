/**
 * DHCPv4 messages (RFC 2131, 2; options RFC 2132).
 *
 *   0 op  1 htype  2 hlen  3 hops  4 xid  8 secs  10 flags  12 ciaddr  16 yiaddr  20 siaddr  24 giaddr
 *   28 chaddr (16)  44 sname (64)  108 file (128)  236 magic cookie  240 options … 255
 */
import { get16, get32, getMac, set16, set32, setMac } from './bytes.js';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** Message types (RFC 2132, 9.6). */
export const DhcpType = {
  Discover: 1,
  Offer: 2,
  Request: 3,
  Decline: 4,
  Ack: 5,
  Nak: 6,
  Release: 7,
  Inform: 8,
} as const;

const MAGIC = 0x6382_5363;
const BOOTREQUEST = 1;
const BOOTREPLY = 2;
const BROADCAST_FLAG = 0x8000;

export interface DhcpRequest {
  readonly type: number;
  readonly xid: number;
  readonly broadcast: boolean;
  /** The client's address, if it has one that it uses. */
  readonly ciaddr: number;
  readonly mac: number;
  /** Option 50. */
  readonly requested: number | undefined;
  /** Option 54. */
  readonly server: number | undefined;
}

/** Undefined for what is no client's message. */
export function parseDhcp(data: Uint8Array): DhcpRequest | undefined {
  if (data.length < 241 || data[0] !== BOOTREQUEST || data[1] !== 1 || data[2] !== 6) return undefined;
  if (get32(data, 236) !== MAGIC) return undefined;
  let type: number | undefined;
  let requested: number | undefined;
  let server: number | undefined;
  for (let at = 240; at < data.length && data[at] !== 255;) {
    if (data[at] === 0) {
      at++;
      continue;
    }
    const length = at + 1 < data.length ? data[at + 1] : 0;
    const value = at + 2;
    if (value + length > data.length) return undefined;
    if (data[at] === 53 && length === 1) type = data[value];
    else if (data[at] === 50 && length === 4) requested = get32(data, value);
    else if (data[at] === 54 && length === 4) server = get32(data, value);
    at = value + length;
  }
  if (type === undefined) return undefined;
  return {
    type,
    xid: get32(data, 4),
    broadcast: (get16(data, 10) & BROADCAST_FLAG) !== 0,
    ciaddr: get32(data, 12),
    mac: getMac(data, 28),
    requested,
    server,
  };
}

/** A DHCP option: code and value. */
export type DhcpOption = readonly [code: number, value: Uint8Array];

/** A server's answer to `request`; `yiaddr` 0 gives no address. */
export function buildDhcp(
  request: DhcpRequest,
  type: number,
  yiaddr: number,
  server: number,
  options: readonly DhcpOption[],
): Uint8Array {
  const head: DhcpOption[] = [
    [53, Uint8Array.of(type)],
    [54, word(server)],
  ];
  const all = [...head, ...options];
  // BOOTP's 300 octets are the least some clients and relays take (RFC 1542, 2.1).
  const out = new Uint8Array(Math.max(300, 241 + all.reduce((sum, [, value]) => sum + 2 + value.length, 0)));
  out[0] = BOOTREPLY;
  out[1] = 1;
  out[2] = 6;
  set32(out, 4, request.xid);
  set16(out, 10, request.broadcast ? BROADCAST_FLAG : 0);
  set32(out, 12, type === DhcpType.Nak ? 0 : request.ciaddr);
  set32(out, 16, yiaddr);
  set32(out, 20, type === DhcpType.Nak ? 0 : server);
  setMac(out, 28, request.mac);
  set32(out, 236, MAGIC);
  let at = 240;
  for (const [code, value] of all) {
    out[at] = code;
    out[at + 1] = value.length;
    out.set(value, at + 2);
    at += 2 + value.length;
  }
  out[at] = 255;
  return out;
}

/** A 32-bit option value. */
export function word(value: number): Uint8Array {
  const out = new Uint8Array(4);
  set32(out, 0, value);
  return out;
}
