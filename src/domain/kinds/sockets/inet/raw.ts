import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { making } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import type { Anchor } from '../../../tree/anchor.js';
import { fileKind } from '../../kind.js';
import { inodeOf } from '../sock-diag.js';
import { socketFamily } from '../socket-options.js';
import { addFilterLook, setFilter } from './filter.js';
import { finishInetSocket, makeInetSocket, readInetSocket, type InetSocket } from './inet-socket.js';
import { rawPeers } from './raw-peers.js';
import { withNetSysctl } from './net-sysctl.js';
import { joinAll, readMemberships, type Membership } from './multicast.js';
import { SOCK_RAW } from '../../../linux/socket-numbers.js';

interface RawState extends InetSocket {
  readonly memberships: readonly Membership[];
}

/** Raw sockets, and those of ICMP echoes (icmp(7)). Packets that wait in them are lost, as the network may lose them. */
export const raw = fileKind<RawState>({
  name: 'raw',
  keeps:
    'raw sockets and ICMP echo sockets: names, peers, options, ICMP filters, classic BPF filters, multicast memberships; not the packets that wait in them',
  refuses: 'eBPF filters',
  // Their making changes a setting for a moment.
  matches: (view) => view.link.startsWith('socket:['),
  async inspect({ hands }, file) {
    const b = hands.batch();
    const filter = addFilterLook(b, file.held, `descriptor ${file.view.fd}`);
    filter(await b.run());
  },
  async checkpoint(context, file) {
    const { hands } = context;
    const family = await socketFamily(hands, file);
    const { socket } = await readInetSocket(hands, file, family, () => () => undefined);
    const memberships = await readMemberships(context, file.held, socket);
    const peer = (await rawPeers(context)).get(inodeOf(file)) ?? new Uint8Array(0);
    return { ...socket, peer, memberships };
  },
  restore: ({ hands, anchor }, s) =>
    making(hands, async (note) => {
      // A raw socket's port is its protocol, which it has by itself; an echo socket's is its identifier.
      const named = hasAddress(s.local);
      const make = (): Promise<number> => makeInetSocket(hands, anchor, s, { bind: s.type !== SOCK_RAW || named });
      const fd = note(await (s.type === SOCK_RAW ? make() : allowingEchoes(hands, anchor, make)));
      await joinAll(hands, fd, s.domain, s.memberships);
      await finishInetSocket(hands, anchor, fd, s);
      const b = hands.batch();
      const refs = [];
      if (hasAddress(s.peer)) refs.push(b.call(SYS.connect, fd, b.bytes(s.peer), s.peer.length));
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), 'connecting a raw socket');
      if (s.filter !== undefined) await setFilter(hands, fd, s.filter);
      return fd;
    }),
});

/** `struct sockaddr_in`: the address at 4; `struct sockaddr_in6`: at 8. */
function hasAddress(name: Uint8Array): boolean {
  return (name.length < 24 ? name.subarray(4, 8) : name.subarray(8, 24)).some((byte) => byte !== 0);
}

const GROUPS = 'ipv4/ping_group_range';

/** The hands may not be of a group that may have echo sockets. */
const allowingEchoes = <T>(hands: Hands, anchor: Anchor, work: () => Promise<T>): Promise<T> =>
  withNetSysctl(hands, anchor, GROUPS, () => '0 2147483647', work);
