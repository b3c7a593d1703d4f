import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { makeSocket } from './make-socket.js';

const AF_UNIX = 1;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const SHOW_PEER_ICONS = 4 | 8;
const ATTR = { PEER: 2, ICONS: 3, SHUTDOWN: 6 } as const;
/** A dump's first part is there when it was asked for, each other when the one before has been read. */
const MSG_DONTWAIT = 0x40;
const CHUNK = 0x8000;

/** A UNIX socket as sock_diag(7) tells it. */
export interface UnixSocketInfo {
  readonly inode: number;
  /** Inode of the other end; 0 if there is none any more, or never was. */
  readonly peer: number;
  /** TCP's state numbers: 1 connected, 7 unconnected, 10 listening. */
  readonly state: number;
  /** Bit 0: receives no more; bit 1: sends no more. */
  readonly shutdown: number;
  /** Connections that wait to be accepted. */
  readonly waiting: number;
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
    view.setUint32(28, SHOW_PEER_ICONS, true);
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
    const info = {
      inode: view.getUint32(at + 20, true),
      peer: 0,
      state: view.getUint8(at + 18),
      shutdown: 0,
      waiting: 0,
    };
    for (let a = at + 32; a + 4 <= at + size;) {
      const attributeSize = view.getUint16(a, true);
      const attribute = view.getUint16(a + 2, true);
      if (attributeSize < 4) break;
      if (attribute === ATTR.PEER) info.peer = view.getUint32(a + 4, true);
      if (attribute === ATTR.ICONS) info.waiting = (attributeSize - 4) / 4;
      if (attribute === ATTR.SHUTDOWN) info.shutdown = view.getUint8(a + 4);
      a += (attributeSize + 3) & ~3;
    }
    out.set(info.inode, info);
    at += (size + 3) & ~3;
  }
  return length === 0;
}
