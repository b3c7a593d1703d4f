import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { F, O } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import {
  AF_NETLINK,
  MSG_DONTWAIT,
  NETLINK_SOCK_DIAG,
  SOCK_DIAG_BY_FAMILY,
  SOCK_RAW,
} from '../../linux/socket-numbers.js';
import { makeSocket } from './make-socket.js';

const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** `struct nlmsghdr`: length u32, type u16, flags u16, sequence u32, port u32. */
const HEADER = 16;
/** A dump's first part is there when it was asked for, each other when the one before has been read. */
const CHUNK = 0x8000;
/** Reads in one batch: a dump that is short is over with the first two. */
const READS = 2;
/** Batches, each of some hundred sockets, that are read at most. */
const MOST_BATCHES = 2000;

/**
 * Has the kernel tell of all sockets of a network namespace (sock_diag(7)). `request`: of the family, such as `struct
 * inet_diag_req_v2`, without a header; `each` gets each message without its header. Throws `guest`.
 */
export async function dumpSockets(
  hands: Hands,
  netns: number,
  request: Uint8Array,
  each: (message: Uint8Array) => void,
): Promise<void> {
  const asked = new Uint8Array(HEADER + request.length);
  const view = new DataView(asked.buffer);
  view.setUint32(0, asked.length, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  asked.set(request, HEADER);
  const fd = await makeSocket(hands, netns, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  await whileOpen(hands, fd, async () => {
    for (let turn = 0; turn < MOST_BATCHES; turn++) {
      const b = hands.batch();
      const sent =
        turn === 0
          ? [b.call(SYS.fcntl, fd, F.SETFL, O.RDWR), b.call(SYS.sendto, fd, b.bytes(asked), asked.length, 0, 0, 0)]
          : [];
      const reads = Array.from({ length: READS }, () => {
        const buf = b.out(CHUNK);
        return { buf, n: b.mustFind(SYS.recvfrom, fd, buf, CHUNK, MSG_DONTWAIT, 0, 0) };
      });
      const r = await b.run();
      for (const ref of sent) check(r.value(ref), 'asking for sockets');
      for (const { buf, n } of reads)
        if (isLast(r.bytes(buf, check(r.value(n), 'reading what sockets there are')), each)) return;
    }
    throw new DomainError('guest', 'more sockets than can be read');
  });
}

/** Goes through the messages of a part; answers true if there are no others after it. */
function isLast(part: Uint8Array, each: (message: Uint8Array) => void): boolean {
  const view = new DataView(part.buffer, part.byteOffset, part.length);
  for (let at = 0; at + HEADER <= part.length;) {
    const size = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE) return true;
    if (size < HEADER || at + size > part.length) return true;
    if (type === NLMSG_ERROR) check(size < HEADER + 4 ? -1 : view.getInt32(at + HEADER, true), 'asking for sockets');
    each(part.subarray(at + HEADER, at + size));
    at += (size + 3) & ~3;
  }
  return part.length === 0;
}

/** Attributes behind the fixed part of a message, by type; the last one of a type counts. */
export function attributesBehind(message: Uint8Array, fixed: number): Map<number, Uint8Array> {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const out = new Map<number, Uint8Array>();
  for (let at = fixed; at + 4 <= message.length;) {
    const size = view.getUint16(at, true);
    if (size < 4) break;
    out.set(view.getUint16(at + 2, true), message.subarray(at + 4, Math.min(at + size, message.length)));
    at += (size + 3) & ~3;
  }
  return out;
}
