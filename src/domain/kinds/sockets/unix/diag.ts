import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { O } from '../../../linux/flags.js';
import { check } from '../../../linux/os.js';
import { makeSocket } from '../make-socket.js';

const AF_UNIX = 1;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** UDIAG_SHOW_PEER, _ICONS and _RQLEN. */
const SHOW = 4 | 8 | 16;
const ATTR = { PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;
/** A dump's first part is there when it was asked for, each other when the one before has been read. */
const MSG_DONTWAIT = 0x40;
const CHUNK = 0x8000;
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
export async function unixSockets(hands: Hands, netns: number): Promise<Map<number, UnixSocketInfo>> {
  const fd = await makeSocket(hands, netns, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  try {
    // struct nlmsghdr; struct unix_diag_req: family u8, protocol u8, pad u16, states, ino, show, cookie[2] u32.
    const request = new Uint8Array(40);
    const view = new DataView(request.buffer);
    view.setUint32(0, 40, true);
    view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
    view.setUint16(6, NLM_F_REQUEST_DUMP, true);
    view.setUint8(16, AF_UNIX);
    view.setUint32(20, 0xffffffff, true);
    view.setUint32(28, SHOW, true);
    view.setBigUint64(32, 0xffffffffffffffffn, true);
    const b = hands.batch();
    b.call(SYS.fcntl, fd, 4, O.RDWR);
    const sent = b.call(SYS.sendto, fd, b.bytes(request), request.length, 0, 0, 0);
    check((await b.run()).value(sent), 'asking for the UNIX sockets');
    const out = new Map<number, UnixSocketInfo>();
    for (;;) {
      const c = hands.batch();
      const buf = c.out(CHUNK);
      const n = c.call(SYS.recvfrom, fd, buf, CHUNK, MSG_DONTWAIT, 0, 0);
      const r = await c.run();
      const length = check(r.value(n), 'reading the UNIX sockets');
      if (parseDump(r.view(buf), length, out)) return out;
    }
  } finally {
    await hands.syscall(SYS.close, fd);
  }
}

/** Answers true at the end of the dump. */
function parseDump(view: DataView, length: number, out: Map<number, UnixSocketInfo>): boolean {
  for (let at = 0; at + 16 <= length;) {
    const size = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) check(view.getInt32(at + 16, true), 'sock_diag of UNIX sockets');
    if (size < 32 || at + size > length) return true;
    // struct unix_diag_msg: family, type, state, pad u8; ino u32, cookie[2] u32.
    const state = view.getUint8(at + 18);
    const listens = state === STATE_LISTEN;
    const info = {
      inode: view.getUint32(at + 20, true),
      type: view.getUint8(at + 17),
      peer: undefined as number | undefined,
      state,
      shutdown: 0,
      waiting: [] as number[],
      received: 0,
      sent: 0,
      backlog: 0,
    };
    for (let a = at + 32; a + 4 <= at + size;) {
      const attributeSize = view.getUint16(a, true);
      const attribute = view.getUint16(a + 2, true);
      if (attributeSize < 4) break;
      if (attribute === ATTR.PEER) info.peer = view.getUint32(a + 4, true);
      if (attribute === ATTR.ICONS)
        for (let i = a + 4; i + 4 <= Math.min(a + attributeSize, at + size); i += 4)
          info.waiting.push(view.getUint32(i, true));
      if (attribute === ATTR.RQLEN) {
        if (!listens) info.received = view.getUint32(a + 4, true);
        if (listens) info.backlog = view.getUint32(a + 8, true);
        else info.sent = view.getUint32(a + 8, true);
      }
      if (attribute === ATTR.SHUTDOWN) info.shutdown = view.getUint8(a + 4);
      a += (attributeSize + 3) & ~3;
    }
    out.set(info.inode, info);
    at += (size + 3) & ~3;
  }
  return length === 0;
}
