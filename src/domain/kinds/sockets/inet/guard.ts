import type { Hands } from '../../../../guest/hands/hands.js';
import { check } from '../../../linux/os.js';
import { addSetNumber, IPPROTO_IP, IPPROTO_IPV6, numberOf } from '../socket-options.js';
import type { InetSocket } from './inet-socket.js';
import { IP, IPV6 } from './options.js';
import { NEAREST } from './segment.js';
import { AF_INET6 } from '../../../linux/socket-numbers.js';

/**
 * Only what has come from so near as nothing that a kernel sends by itself reaches the socket (ip(7), IP_MINTTL): while
 * connections are made, none tells one end that the other is not there.
 */
export const guard = (hands: Hands, fd: number, s: InetSocket): Promise<void> =>
  setLeast(hands, fd, s, NEAREST, NEAREST);

/** What the program had said of it. */
export const unguard = (hands: Hands, fd: number, s: InetSocket): Promise<void> =>
  setLeast(
    hands,
    fd,
    s,
    numberOf(s.options, IPPROTO_IP, IP.MINTTL),
    numberOf(s.options, IPPROTO_IPV6, IPV6.MINHOPCOUNT),
  );

async function setLeast(hands: Hands, fd: number, { domain }: InetSocket, v4: number, v6: number): Promise<void> {
  const b = hands.batch();
  const refs = [addSetNumber(b, fd, IPPROTO_IP, IP.MINTTL, v4)];
  if (domain === AF_INET6) refs.push(addSetNumber(b, fd, IPPROTO_IPV6, IPV6.MINHOPCOUNT, v6));
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), 'guarding a socket');
}
