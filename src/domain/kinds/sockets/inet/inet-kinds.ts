import { unsupported } from '../../../errors.js';
import type { FileKind } from '../../kind.js';
import type { SocketFamily } from '../socket-options.js';
import { raw } from './raw.js';
import { tcp } from './tcp.js';
import { udp } from './udp.js';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
} from '../../../linux/socket-numbers.js';

/** What is refused, beside what has no name: newer kernels have no UDP-Lite any more. */
const NAMES: Readonly<Record<number, string>> = { 33: 'DCCP', 136: 'UDP-Lite', 132: 'SCTP', 262: 'Multipath TCP' };

/** Kinds of sockets of the internet's families. */
export const inetKinds: readonly FileKind[] = [tcp, udp, raw];

/** Which kind takes care of a socket of AF_INET or AF_INET6. Throws `unsupported`. */
export function inetKind({ domain, type, protocol }: SocketFamily, where: string): FileKind {
  const ours = domain === AF_INET || domain === AF_INET6;
  if (ours) {
    if (type === SOCK_STREAM && protocol === IPPROTO_TCP) return tcp;
    if (type === SOCK_DGRAM && protocol === IPPROTO_UDP) return udp;
    if (type === SOCK_RAW) return raw;
    if (type === SOCK_DGRAM && (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6)) return raw;
  }
  const name = ours ? NAMES[protocol] : undefined;
  throw unsupported(
    name === undefined
      ? `a socket of domain ${domain}, type ${type}, protocol ${protocol}`
      : `a ${name} socket (type ${type})`,
    where,
  );
}
