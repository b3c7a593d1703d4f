import type { Hands } from '../../../../guest/hands/hands.js';
import { AF_INET, AF_INET6 } from '../../../linux/socket-numbers.js';
import type { Anchor } from '../../../tree/anchor.js';
import { attributeOf, dumpOver, readU32, u32, type Entry } from '../../network/rtnetlink.js';
import { dumpOf, dumpSockets } from '../sock-diag.js';
import { endpointAt, type Endpoint } from './address.js';

const ATTR = { INFO: 2, SHUTDOWN: 8 } as const;
/** `struct inet_diag_msg`. */
const FIXED = 72;

/** A socket of the internet's families as sock_diag(7) tells it. */
export interface DiagSocket {
  /** By TCP's numbers. */
  readonly state: number;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  /** 0: no process has it. */
  readonly inode: number;
  readonly received: number;
  /** Bit 0: receives no more; bit 1: sends no more. */
  readonly shutdown: number;
  /** `struct tcp_info`, where it was asked for. */
  readonly info: Uint8Array | undefined;
}

/** Sockets of the domain's network namespace in one of `states` (a mask of bits by TCP's numbers), of IPv4 and of IPv6. */
export async function inetSockets(
  hands: Hands,
  anchor: Anchor,
  protocol: number,
  states: number,
): Promise<DiagSocket[]> {
  const requests = [AF_INET, AF_INET6].map((family) => request(family, protocol, states));
  return (await dumpSockets(hands, anchor, requests, FIXED)).map(socketIn);
}

/** As {@link inetSockets}, of IPv4, by a socket for sock_diag(7) of the network namespace. */
export async function inetSocketsOver(
  hands: Hands,
  socket: number,
  protocol: number,
  states: number,
): Promise<DiagSocket[]> {
  return (await dumpOver(hands, socket, dumpOf(request(AF_INET, protocol, states), FIXED))).map(socketIn);
}

/** `struct inet_diag_req_v2`: family, protocol, ext, pad u8; states u32; `struct inet_diag_sockid` of 48 bytes. */
function request(family: number, protocol: number, states: number): Uint8Array {
  const bytes = new Uint8Array(56);
  bytes.set([family, protocol, 1 << (ATTR.INFO - 1)]);
  bytes.set(u32(states), 4);
  return bytes;
}

/**
 * `struct inet_diag_msg`: family, state, timer, retrans u8; ports be16 at 4 and 6, addresses at 8 and 24, interface u32 at 40,
 * cookie; expires, rqueue, wqueue, uid, inode: u32 from 52 on. Then attributes.
 */
function socketIn(entry: Entry): DiagSocket {
  const { header } = entry;
  const length = header[0] === AF_INET ? 4 : 16;
  const endpoint = (address: number, port: number): Endpoint =>
    endpointAt(header.slice(address, address + length), (header[port] << 8) | header[port + 1]);
  return {
    state: header[1],
    local: endpoint(8, 4),
    peer: endpoint(24, 6),
    received: readU32(header, 56),
    inode: readU32(header, 68),
    shutdown: attributeOf(entry, ATTR.SHUTDOWN)?.[0] ?? 0,
    info: attributeOf(entry, ATTR.INFO),
  };
}
