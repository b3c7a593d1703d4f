import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupportedNow } from '../../../errors.js';
import { check, readTexts } from '../../../linux/os.js';
import { askAll } from '../../../linux/ask-all.js';
import { once } from '../../../once.js';
import type { CheckpointContext } from '../../kind.js';
import { int, IPPROTO_IP, IPPROTO_IPV6 } from '../socket-options.js';
import type { InetSocket } from './inet-socket.js';
import { AF_INET, AF_INET6 } from '../../../linux/socket-numbers.js';

const MCAST_JOIN_GROUP = 42;
const MCAST_MSFILTER = 48;
const SIOCGIFINDEX = 0x8933;
const EXCLUDE = 0;
/** `struct group_filter`: interface u32, group sockaddr at 8, mode u32 at 136, count u32 at 140, sources from 144 on, 128 bytes each. */
const HEADER = 144;
const SOURCE = 128;
const MOST_SOURCES = 64;
/** Groups that a kernel is asked about for one socket; for the room that the answer to one takes, it counts as so many calls. */
const MOST_GROUPS = 2000;
const GROUP_CALLS = 16;

interface Group {
  readonly index: number;
  readonly device: string;
  readonly address: Uint8Array;
}

/** A multicast group that a socket has joined, with the sources that it wants, or does not. */
export interface Membership {
  readonly device: string;
  readonly address: Uint8Array;
  /** As {@link HEADER} describes it. */
  readonly filter: Uint8Array;
}

/** Groups that somebody in the network namespace has joined, by device. A kernel tells them of devices only. */
const groupsOf = once(async ({ hands, anchor }: CheckpointContext): Promise<Group[]> => {
  const of = `/proc/${anchor.pid}/net`;
  const [igmp = '', igmp6 = ''] = await readTexts(hands, [`${of}/igmp`, `${of}/igmp6`]);
  const groups: Group[] = [];
  // `2	eth0      :     1      V3`, then a line for each group: its bytes as one number in hexadecimal digits.
  let [index, device] = [0, ''];
  for (const line of igmp.split('\n')) {
    const head = /^(\d+)\s+(\S+)\s*:/.exec(line);
    if (head !== null) [index, device] = [Number(head[1]), head[2] ?? ''];
    const group = /^\s+([0-9A-F]{8})\s/.exec(line)?.[1];
    if (group !== undefined) groups.push({ index, device, address: bytesOf(group).reverse() });
  }
  // `1    lo              ff020000000000000000000000000001     1 0000000C 0`
  for (const [, number, name = '', group = ''] of igmp6.matchAll(/^(\d+)\s+(\S+)\s+([0-9a-f]{32})\s/gm))
    groups.push({ index: Number(number), device: name, address: bytesOf(group) });
  if (groups.length > MOST_GROUPS)
    throw unsupportedNow('very many multicast groups', 'the network namespace of the domain');
  return groups;
});

const bytesOf = (digits: string): Uint8Array =>
  Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));

function sockaddr(address: Uint8Array): Uint8Array {
  const out = new Uint8Array(128);
  out[0] = address.length === 4 ? AF_INET : AF_INET6;
  out.set(address, address.length === 4 ? 4 : 8);
  return out;
}

const levelOf = (address: Uint8Array): number => (address.length === 4 ? IPPROTO_IP : IPPROTO_IPV6);

/** The groups that a socket has joined: it is asked about each that there is. */
export async function readMemberships(
  context: CheckpointContext,
  fd: number,
  { domain }: InetSocket,
): Promise<Membership[]> {
  const groups = (await groupsOf(context)).filter((g) => g.address.length === 4 || domain === AF_INET6);
  const joined = await askAll(context.hands, groups, GROUP_CALLS, (b, g) => {
    const size = HEADER + MOST_SOURCES * SOURCE;
    const filter = new Uint8Array(size);
    const view = new DataView(filter.buffer);
    view.setUint32(0, g.index, true);
    filter.set(sockaddr(g.address), 8);
    view.setUint32(140, MOST_SOURCES, true);
    const buf = b.inout(filter);
    const n = b.call(SYS.getsockopt, fd, levelOf(g.address), MCAST_MSFILTER, buf, b.bytes(int(size)));
    return (r) => {
      if (r.value(n) < 0) return [];
      const count = r.view(buf).getUint32(140, true);
      if (count > MOST_SOURCES) throw unsupportedNow('a multicast group with very many sources', `a socket`);
      return [{ device: g.device, address: g.address, filter: r.bytes(buf, HEADER + count * SOURCE) }];
    };
  });
  return joined.flat();
}

/** Joins groups, each on the device of its name. */
export async function joinAll(hands: Hands, fd: number, domain: number, all: readonly Membership[]): Promise<void> {
  if (all.length === 0) return;
  const b = hands.batch();
  const devices = [...new Set(all.map((m) => m.device))].map((device) => {
    // struct ifreq: name, then at 16 what is asked for.
    const ifreq = new Uint8Array(40);
    ifreq.set(new TextEncoder().encode(device).subarray(0, 15));
    const buf = b.inout(ifreq);
    return { device, buf, n: b.call(SYS.ioctl, fd, SIOCGIFINDEX, buf) };
  });
  const r = await b.run();
  const indexOf = new Map(
    devices.map(({ device, buf, n }) => {
      check(r.value(n), `looking for the device ${device}`);
      return [device, r.view(buf).getUint32(16, true)];
    }),
  );
  const c = hands.batch();
  const joins = all.map((m) => {
    const filter = m.filter.slice();
    const view = new DataView(filter.buffer);
    view.setUint32(0, indexOf.get(m.device) ?? 0, true);
    // struct group_req: interface u32, group at 8.
    const request = filter.slice(0, 136);
    const level = levelOf(m.address);
    const joined = c.call(SYS.setsockopt, fd, level, MCAST_JOIN_GROUP, c.bytes(request), request.length);
    const plain = view.getUint32(136, true) === EXCLUDE && filter.length === HEADER;
    return plain
      ? [joined]
      : [joined, c.call(SYS.setsockopt, fd, level, MCAST_MSFILTER, c.bytes(filter), filter.length)];
  });
  const cr = await c.run();
  for (const ref of joins.flat()) check(cr.value(ref), `joining a multicast group (domain ${domain})`);
}
