/** Modules by which the kernel tells of sockets. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { addDump } from '../kinds/network/rtnetlink.js';
import { dumpOf } from '../kinds/sockets/sock-diag.js';
import { AF_INET, AF_PACKET, AF_UNIX, IPPROTO_TCP, IPPROTO_UDP } from '../linux/socket-numbers.js';
import { once } from '../once.js';

/** The longest of the families' requests: `struct inet_diag_req_v2`. */
const REQUEST = 56;

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
    const request = new Uint8Array(REQUEST);
    request.set([family, protocol]);
    const { fd } = addDump(b, dumpOf(request, 0));
    b.call(SYS.close, fd);
  }
  await b.run();
});
