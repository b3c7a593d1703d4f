import type { Hands } from '../../../../guest/hands/hands.js';
import { AF_UNIX } from '../../../linux/socket-numbers.js';
import type { Anchor } from '../../../tree/anchor.js';
import { attributeOf, readU32, type Entry } from '../../network/rtnetlink.js';
import { dumpSockets } from '../sock-diag.js';

/** UDIAG_SHOW_PEER, _ICONS and _RQLEN. */
const SHOW = 4 | 8 | 16;
const ATTR = { PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;
/** `struct unix_diag_msg`: family, type, state, pad u8; ino u32, cookie[2] u32. */
const FIXED = 16;
/** TCP_ESTABLISHED and TCP_LISTEN of linux/net/tcp_states.h, which UNIX sockets use, too. */
export const STATE_ESTABLISHED = 1;
export const STATE_LISTEN = 10;

/** A UNIX socket as sock_diag(7) tells it. */
export interface UnixSocketInfo {
  readonly inode: number;
  /** SOCK_STREAM and so on. */
  readonly type: number;
  /** Inode of the other end; 0 if it is gone, or waits to be accepted; undefined if there never was one. */
  readonly peer: number | undefined;
  /** TCP's state numbers: 1 connected, 7 unconnected, 10 listening. */
  readonly state: number;
  /** Bit 0: receives no more; bit 1: sends no more. */
  readonly shutdown: number;
  /** Connections that wait to be accepted, in order: the inodes of who has connected; 0 for one that is gone. */
  readonly waiting: readonly number[];
  /** Bytes that wait in it (of a datagram socket those of the first), and bytes that it has sent and nobody has read. */
  readonly received: number;
  readonly sent: number;
  /** As listen(2) was told, of one that listens. */
  readonly backlog: number;
}

/** All UNIX sockets of a network namespace, by inode. */
export async function unixSockets(hands: Hands, anchor: Anchor): Promise<Map<number, UnixSocketInfo>> {
  // struct unix_diag_req: family u8, protocol u8, pad u16, states, ino, show, cookie[2] u32.
  const request = new Uint8Array(24);
  const view = new DataView(request.buffer);
  view.setUint8(0, AF_UNIX);
  view.setUint32(4, 0xffffffff, true);
  view.setUint32(12, SHOW, true);
  view.setBigUint64(16, 0xffffffffffffffffn, true);
  const found = (await dumpSockets(hands, anchor, [request], FIXED)).map(socketIn);
  return new Map(found.map((socket) => [socket.inode, socket]));
}

function socketIn(entry: Entry): UnixSocketInfo {
  const { header } = entry;
  const state = header[2];
  const listens = state === STATE_LISTEN;
  const words = (type: number): number[] => {
    const bytes = attributeOf(entry, type) ?? new Uint8Array(0);
    return Array.from({ length: bytes.length >> 2 }, (_, i) => readU32(bytes, 4 * i));
  };
  // struct unix_diag_rqlen: of one that listens the connections that wait, and how many may.
  const [received = 0, sent = 0] = words(ATTR.RQLEN);
  return {
    inode: readU32(header, 4),
    type: header[1],
    peer: words(ATTR.PEER)[0],
    state,
    shutdown: attributeOf(entry, ATTR.SHUTDOWN)?.[0] ?? 0,
    waiting: words(ATTR.ICONS),
    received: listens ? 0 : received,
    sent: listens ? 0 : sent,
    backlog: listens ? sent : 0,
  };
}
