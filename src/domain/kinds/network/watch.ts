/** Whether a network namespace is as it was: it is told, as asking for all of it would take most of a pause. */
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { CLONE, EAGAIN, O } from '../../linux/flags.js';
import { inside } from '../../linux/inside.js';
import { check } from '../../linux/os.js';
import type { Anchor } from '../../tree/anchor.js';
import { RTM } from './apply.js';
import { NTF_PROXY, NUD_PERMANENT } from './state.js';
import { AF_NETLINK, MSG_DONTWAIT, NETLINK_ROUTE, SOCK_RAW } from '../../linux/socket-numbers.js';

/** Groups of rtnetlink(7), by their numbers: links, neighbours, queueing disciplines, addresses, routes and rules of both families. */
const GROUPS = [1, 3, 4, 5, 7, 8, 9, 11, 19].reduce((mask, group) => mask | (1 << (group - 1)), 0);
/** More news than these are not read: then all is looked at. */
const MOST_NEWS = 8;
const NEWS_BYTES = 64;

/** Begins to be told of changes; answers a descriptor of the hands. */
export function watchNetwork(hands: Hands, anchor: Anchor): Promise<number> {
  return inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
    const fd = b.call(SYS.socket, AF_NETLINK, SOCK_RAW | O.CLOEXEC, NETLINK_ROUTE);
    // struct sockaddr_nl: family u16, padding, port u32, groups u32.
    const name = new Uint32Array([AF_NETLINK, 0, GROUPS]);
    const bound = b.call(SYS.bind, fd, b.bytes(new Uint8Array(name.buffer)), name.byteLength);
    return (r) => {
      check(r.value(bound), 'watching the network of the domain');
      return check(r.value(fd), 'watching the network of the domain');
    };
  });
}

/** Whether nothing has changed that is kept; what cannot be told counts as a change. */
export async function isUnchanged(hands: Hands, watch: number): Promise<boolean> {
  const b = hands.batch();
  const news = Array.from({ length: MOST_NEWS }, () => {
    const buf = b.out(NEWS_BYTES);
    return { buf, n: b.call(SYS.recvfrom, watch, buf, NEWS_BYTES, MSG_DONTWAIT, 0, 0) };
  });
  const r = await b.run();
  for (const { buf, n } of news) {
    if (r.value(n) === -EAGAIN) return true;
    if (r.value(n) < 0 || !isPassing(r.bytes(buf, r.value(n)))) return false;
  }
  return false;
}

const NLMSGHDR = 16;

/** News of a neighbour that the kernel has found, or lost: it finds them again. */
function isPassing(news: Uint8Array): boolean {
  if (news.length < NLMSGHDR + 12) return false;
  const view = new DataView(news.buffer, news.byteOffset, news.length);
  const type = view.getUint16(4, true);
  // struct ndmsg: family u8, three of padding, index i32, state u16, flags u8.
  const isPermanent = (view.getUint16(NLMSGHDR + 8, true) & NUD_PERMANENT) !== 0;
  const isProxy = (view.getUint8(NLMSGHDR + 10) & NTF_PROXY) !== 0;
  return (type === RTM.NEWNEIGH || type === RTM.DELNEIGH) && !isPermanent && !isProxy;
}
