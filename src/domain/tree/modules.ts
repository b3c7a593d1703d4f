/** Modules by which the kernel tells of sockets. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { O } from '../linux/flags.js';
import {
  AF_INET,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  IPPROTO_TCP,
  IPPROTO_UDP,
  MSG_DONTWAIT,
  NETLINK_SOCK_DIAG,
  SOCK_DIAG_BY_FAMILY,
  SOCK_RAW,
} from '../linux/socket-numbers.js';
import { once } from '../once.js';

const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
/** `struct nlmsghdr`, then the longest of the families' requests, `struct inet_diag_req_v2`. */
const REQUEST = 16 + 56;

/** Whatever one of the kinds asks for, by family and protocol. Both of the internet's families have the same modules. */
const ASKED: readonly (readonly [family: number, protocol: number])[] = [
  [AF_INET, IPPROTO_TCP],
  [AF_INET, IPPROTO_UDP],
  [AF_UNIX, 0],
  [AF_PACKET, 0],
];

/**
 * Has the kernel load what it needs to tell of sockets (sock_diag(7)), once in an OS instance, before a domain is there:
 * it would do so when we first look at one, and tell every program that listens for new modules.
 */
export const loadDiagnosis = once(async (hands: Hands): Promise<void> => {
  const b = hands.batch();
  for (const [family, protocol] of ASKED) {
    const bytes = new Uint8Array(REQUEST);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, REQUEST, true);
    view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
    view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true);
    bytes.set([family, protocol], 16);
    const fd = b.call(SYS.socket, AF_NETLINK, SOCK_RAW | O.CLOEXEC, NETLINK_SOCK_DIAG);
    b.call(SYS.sendto, fd, b.bytes(bytes), REQUEST, MSG_DONTWAIT, 0, 0);
    b.call(SYS.close, fd);
  }
  await b.run();
});
