import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { O } from '../../../linux/flags.js';
import { closeAll } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import { together } from '../../../together.js';
import { makeSocket } from '../make-socket.js';
import { endpointAt, type Endpoint } from './address.js';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const MSG_DONTWAIT = 0x40;
const ATTR = { INFO: 2, SHUTDOWN: 8, MD5SIG: 17 } as const;
const CHUNK = 0x8000;
/** Reads in one batch: a dump that is short is over with the first two. */
const READS = 2;
/** Parts of a dump, each of some hundred sockets, that are read at most. */
const MOST_PARTS = 2000;

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
  const fd = await makeSocket(hands, netns, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  const out: DiagSocket[] = [];
  try {
    await dump(hands, fd, asked, out);
    return out;
  } finally {
    await closeAll(hands, [fd]);
  }
}

/** `struct nlmsghdr`; `struct inet_diag_req_v2`: family, protocol, ext, pad u8; states u32; `struct inet_diag_sockid` of 48 bytes. */
function request(family: number, protocol: number, states: number): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  bytes.set([family, protocol, 1 << (ATTR.INFO - 1)], 16);
  view.setUint32(20, states, true);
  return bytes;
}

async function dump(hands: Hands, fd: number, asked: Uint8Array, out: DiagSocket[]): Promise<void> {
  for (let part = 0; part < MOST_PARTS; part++) {
    const b = hands.batch();
    const sent =
      part === 0
        ? [b.call(SYS.fcntl, fd, 4, O.RDWR), b.call(SYS.sendto, fd, b.bytes(asked), asked.length, 0, 0, 0)]
        : [];
    const reads = Array.from({ length: READS }, () => {
      const buf = b.out(CHUNK);
      return { buf, n: b.mustFind(SYS.recvfrom, fd, buf, CHUNK, MSG_DONTWAIT, 0, 0) };
    });
    const r = await b.run();
    for (const ref of sent) check(r.value(ref), 'asking for sockets');
    for (const { buf, n } of reads) {
      const length = check(r.value(n), 'reading the sockets');
      if (parse(r.bytes(buf, length), out)) return;
    }
  }
}

/** Answers true at the end of the dump. */
function parse(bytes: Uint8Array, out: DiagSocket[]): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 16 <= bytes.length;) {
    const size = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) check(view.getInt32(at + 16, true), 'sock_diag of internet sockets');
    if (size < 16 + 72 || at + size > bytes.length) return true;
    out.push(socketIn(bytes.subarray(at + 16, at + size)));
    at += (size + 3) & ~3;
  }
  return bytes.length === 0;
}

/**
 * `struct inet_diag_msg`: family, state, timer, retrans u8; ports be16 at 4 and 6, addresses at 8 and 24, interface u32 at 40,
 * cookie; expires, rqueue, wqueue, uid, inode: u32 from 52 on. Then attributes.
 */
function socketIn(message: Uint8Array): DiagSocket {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const length = message[0] === 2 ? 4 : 16;
  let [shutdown, signed, info] = [0, false, undefined as Uint8Array | undefined];
  for (let a = 72; a + 4 <= message.length;) {
    const size = view.getUint16(a, true);
    const type = view.getUint16(a + 2, true);
    if (size < 4) break;
    if (type === ATTR.SHUTDOWN) shutdown = message[a + 4] ?? 0;
    if (type === ATTR.MD5SIG && size > 4) signed = true;
    if (type === ATTR.INFO) info = message.slice(a + 4, a + size);
    a += (size + 3) & ~3;
  }
  return {
    state: message[1] ?? 0,
    local: endpointAt(message.slice(8, 8 + length), view.getUint16(4)),
    peer: endpointAt(message.slice(24, 24 + length), view.getUint16(6)),
    device: view.getUint32(40, true),
    received: view.getUint32(56, true),
    toSend: view.getUint32(60, true),
    inode: view.getUint32(68, true),
    shutdown,
    signed,
    info,
  };
}
