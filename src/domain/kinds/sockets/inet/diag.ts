import type { Hands } from '../../../../guest/hands/hands.js';
import { together } from '../../../together.js';
import { attributesBehind, dumpSockets } from '../sock-diag.js';
import { endpointAt, type Endpoint } from './address.js';

const ATTR = { INFO: 2, SHUTDOWN: 8, MD5SIG: 17 } as const;
/** `struct inet_diag_msg`. */
const FIXED = 72;

/** A socket of the internet's families as sock_diag(7) tells it. */
export interface DiagSocket {
  readonly state: number;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly device: number;
  /** 0: no process has it. */
  readonly inode: number;
  readonly received: number;
  readonly toSend: number;
  /** Bit 0: receives no more; bit 1: sends no more. */
  readonly shutdown: number;
  readonly signed: boolean;
  /** `struct tcp_info`, where it was asked for. */
  readonly info: Uint8Array | undefined;
}

/** Sockets of a network namespace in one of `states` (a mask of bits by TCP's numbers), of IPv4 and of IPv6. */
export async function inetSockets(
  hands: Hands,
  netns: number,
  protocol: number,
  states: number,
  families: readonly number[],
): Promise<DiagSocket[]> {
  const found = await together(families.map((family) => ofFamily(hands, netns, request(family, protocol, states))));
  return found.flat();
}

async function ofFamily(hands: Hands, netns: number, asked: Uint8Array): Promise<DiagSocket[]> {
  const out: DiagSocket[] = [];
  await dumpSockets(hands, netns, asked, (message) => {
    if (message.length >= FIXED) out.push(socketIn(message));
  });
  return out;
}

/** `struct inet_diag_req_v2`: family, protocol, ext, pad u8; states u32; `struct inet_diag_sockid` of 48 bytes. */
function request(family: number, protocol: number, states: number): Uint8Array {
  const bytes = new Uint8Array(56);
  bytes.set([family, protocol, 1 << (ATTR.INFO - 1)]);
  new DataView(bytes.buffer).setUint32(4, states, true);
  return bytes;
}

/**
 * `struct inet_diag_msg`: family, state, timer, retrans u8; ports be16 at 4 and 6, addresses at 8 and 24, interface u32 at 40,
 * cookie; expires, rqueue, wqueue, uid, inode: u32 from 52 on. Then attributes.
 */
function socketIn(message: Uint8Array): DiagSocket {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const length = message[0] === 2 ? 4 : 16;
  const attributes = attributesBehind(message, FIXED);
  return {
    state: message[1] ?? 0,
    local: endpointAt(message.slice(8, 8 + length), view.getUint16(4)),
    peer: endpointAt(message.slice(24, 24 + length), view.getUint16(6)),
    device: view.getUint32(40, true),
    received: view.getUint32(56, true),
    toSend: view.getUint32(60, true),
    inode: view.getUint32(68, true),
    shutdown: attributes.get(ATTR.SHUTDOWN)?.[0] ?? 0,
    signed: (attributes.get(ATTR.MD5SIG)?.length ?? 0) > 0,
    info: attributes.get(ATTR.INFO)?.slice(),
  };
}
