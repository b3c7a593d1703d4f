import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { CLONE, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { SOCK_STREAM } from '../../linux/socket-numbers.js';

/** A socket of the domain's network namespace, made by the hands. */
export async function makeSocket(
  hands: Hands,
  netns: number,
  domain: number,
  type = SOCK_STREAM,
  protocol = 0,
): Promise<number> {
  const b = hands.batch();
  const own = b.must(SYS.openat, -100, b.str('/proc/self/ns/net'), O.RDONLY | O.CLOEXEC, 0);
  const entered = b.call(SYS.setns, netns, CLONE.NEWNET);
  const fd = b.call(SYS.socket, domain, type | O.CLOEXEC | O.NONBLOCK, protocol);
  const left = b.call(SYS.setns, own, CLONE.NEWNET);
  b.call(SYS.close, own);
  const r = await b.run();
  return making(hands, (note) => {
    note(r.value(fd));
    check(r.value(own), 'looking for the own network namespace');
    check(r.value(entered), 'entering the network namespace of the domain');
    check(r.value(left), 'leaving the network namespace of the domain');
    return Promise.resolve(check(r.value(fd), 'making a socket'));
  });
}
