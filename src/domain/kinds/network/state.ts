/** What a network namespace has beside its sockets: interfaces, addresses, routes, rules, neighbours. */
import type { Hands } from '../../../guest/hands/hands.js';
import { unsupported } from '../../errors.js';
import { attributeOf, attributesIn, dumpAll, readU32, type Dump, type Entry, type Within } from './rtnetlink.js';
import { AF_INET, AF_INET6, NETLINK_ROUTE } from '../../linux/socket-numbers.js';

const RTM_GET = { LINK: 18, ADDR: 22, ROUTE: 26, NEIGH: 30, RULE: 34, QDISC: 38 } as const;
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINK_NETNSID: 37,
  TXQLEN: 13,
  LINKINFO: 18,
  IFALIAS: 20,
  XDP: 43,
} as const;
export const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
export const IFA = { CACHEINFO: 6, FLAGS: 8 } as const;
const RTA = { IIF: 3, OIF: 4, MULTIPATH: 9, CACHEINFO: 12, NH_ID: 30 } as const;
const RTPROT_KERNEL = 2;
const RT_TABLE_MAIN = 254;
const RTM_F_CLONED = 0x200;
export const NUD_PERMANENT = 0x80;
export const NTF_PROXY = 8;
const IFF_UP = 1;
/** UP, NOARP, PROMISC, ALLMULTI, MULTICAST: what can be said of an interface. */
export const SAID = 0x1 | 0x80 | 0x100 | 0x200 | 0x1000;

/** A header of its family with nothing but the family. */
const asking = (type: number, family: number, size: number): Dump => {
  const header = new Uint8Array(size);
  header[0] = family;
  return { protocol: NETLINK_ROUTE, type, header, size };
};

const DUMPS: readonly Dump[] = [
  asking(RTM_GET.LINK, 0, 16),
  asking(RTM_GET.ADDR, 0, 8),
  asking(RTM_GET.ROUTE, AF_INET, 12),
  asking(RTM_GET.ROUTE, AF_INET6, 12),
  asking(RTM_GET.RULE, AF_INET, 12),
  asking(RTM_GET.RULE, AF_INET6, 12),
  asking(RTM_GET.NEIGH, 0, 12),
  asking(RTM_GET.QDISC, 0, 20),
];

export interface Link {
  readonly index: number;
  readonly name: string;
  /** What made it: `veth` and so on; empty for hardware and the loopback interface. */
  readonly kind: string;
  readonly flags: number;
  readonly mtu: number;
  readonly queueLength: number;
  readonly address: Uint8Array;
  readonly alias: string;
  /** The other end of a pair, by its index. */
  readonly peer: number;
}

/** An entry of a table that is about an interface, by its name, or about none. */
export interface Tied {
  readonly link: string;
  readonly entry: Entry;
}

export interface NetworkState {
  readonly links: readonly Link[];
  readonly addresses: readonly Tied[];
  readonly routes: readonly Tied[];
  readonly rules: readonly Tied[];
  readonly neighbours: readonly Tied[];
}

/** Made by itself in each namespace where its module is; without use as long as nobody takes it up. */
const AUTOMATIC = /^(tunl0|gre0|gretap0|erspan0|ip_vti0|ip6_vti0|sit0|ip6tnl0|ip6gre0)$/;
const KEPT_KINDS: readonly string[] = ['', 'veth', 'dummy'];
const utf8 = new TextDecoder();
const textOf = (bytes: Uint8Array | undefined): string => utf8.decode(bytes ?? new Uint8Array(0)).replace(/\0.*$/s, '');

/** Looks at a network namespace. Throws `unsupported` for what could not be made again. */
export async function lookAtNetwork(hands: Hands, anchor: Within): Promise<NetworkState> {
  const [links = [], addresses = [], v4 = [], v6 = [], rules4 = [], rules6 = [], neighbours = [], queues = []] =
    await dumpAll(hands, anchor, DUMPS);
  const all = links.map(linkOf);
  const names = new Map(all.map((l) => [l.index, l.name]));
  const nameOf = (index: number): string => names.get(index) ?? '';
  refuseLinks(all, links);
  for (const q of queues)
    if (readU32(q.header, 8) !== 0)
      throw unsupported('a queueing discipline (tc)', `interface ${nameOf(readU32(q.header, 4))}`);
  const routes = [...v4, ...v6].filter(isOwnRoute);
  for (const r of routes)
    if ([RTA.MULTIPATH, RTA.NH_ID].some((type) => attributeOf(r, type) !== undefined))
      throw unsupported('a route with several next hops', 'the network namespace');
  return {
    links: all.filter((l) => !AUTOMATIC.test(l.name)),
    addresses: addresses.map((entry) => ({ link: nameOf(readU32(entry.header, 4)), entry })),
    routes: routes.map((entry) => ({
      link: nameOf(readU32(attributeOf(entry, RTA.OIF))),
      entry: without(entry, [RTA.OIF, RTA.IIF, RTA.CACHEINFO]),
    })),
    rules: [...rules4, ...rules6].map((entry) => ({ link: '', entry })),
    neighbours: neighbours
      .filter(({ header }) => (header[8] & NUD_PERMANENT) !== 0 || (header[10] & NTF_PROXY) !== 0)
      .map((entry) => ({ link: nameOf(readU32(entry.header, 4)), entry: without(entry, [3, 4]) })),
  };
}

const without = ({ header, attributes }: Entry, types: readonly number[]): Entry => ({
  header,
  attributes: attributes.filter(([type]) => !types.includes(type)),
});

function linkOf(e: Entry): Link {
  const info = attributesIn(attributeOf(e, IFLA.LINKINFO) ?? new Uint8Array(0));
  return {
    index: readU32(e.header, 4),
    name: textOf(attributeOf(e, IFLA.IFNAME)),
    kind: textOf(info.find(([type]) => type === IFLA_INFO.KIND)?.[1]),
    flags: readU32(e.header, 8) & SAID,
    mtu: readU32(attributeOf(e, IFLA.MTU)),
    queueLength: readU32(attributeOf(e, IFLA.TXQLEN)),
    address: attributeOf(e, IFLA.ADDRESS) ?? new Uint8Array(0),
    alias: textOf(attributeOf(e, IFLA.IFALIAS)),
    peer: readU32(attributeOf(e, IFLA.LINK)),
  };
}

function refuseLinks(links: readonly Link[], entries: readonly Entry[]): void {
  links.forEach((l, i) => {
    const where = `interface ${l.name}`;
    const entry = entries[i];
    if (AUTOMATIC.test(l.name) && (l.flags & IFF_UP) === 0) return;
    if (!KEPT_KINDS.includes(l.kind)) throw unsupported(`a network interface of kind ${l.kind}`, where);
    // Its index there says nothing here.
    if (l.kind === 'veth' && attributeOf(entry, IFLA.LINK_NETNSID) !== undefined)
      throw unsupported('a veth interface whose other end is outside', where);
    if (l.kind === 'veth' && !links.some((p) => p.index === l.peer && p.kind === 'veth' && p.peer === l.index))
      throw unsupported('a veth interface whose other end is outside', where);
    if (attributeOf(entry, IFLA.MASTER) !== undefined) throw unsupported('a network interface with a master', where);
    const xdp = attributesIn(attributeOf(entry, IFLA.XDP) ?? new Uint8Array(0));
    if (xdp.some(([type, value]) => type === 2 && value[0] !== 0)) throw unsupported('an XDP program', where);
  });
}

/** Routes that somebody has made; and of those that the kernel makes with an address the ones that may be taken away. */
function isOwnRoute({ header }: Entry): boolean {
  const [family, , , , table, protocol] = header;
  if ((readU32(header, 8) & RTM_F_CLONED) !== 0) return false;
  return protocol !== RTPROT_KERNEL || (family === AF_INET && table === RT_TABLE_MAIN);
}

export const isKernels = ({ header }: Entry): boolean => header[5] === RTPROT_KERNEL;

/** Of an address: whether it is being tried, and that it need not be, are not what it is. */
const PASSING_FLAGS = 0x02 | 0x04 | 0x08 | 0x40;

/** What makes two entries of a table the same. */
export function identityOf(kind: 'addresses' | 'routes' | 'rules' | 'neighbours', { link, entry }: Tied): string {
  const header = entry.header.slice();
  let { attributes } = entry;
  if (kind === 'addresses' || kind === 'neighbours') header.fill(0, 4, 8);
  if (kind === 'addresses') {
    header[2] &= ~PASSING_FLAGS;
    // How long it is to last has become less.
    attributes = attributes.filter(([t]) => t !== IFA.CACHEINFO);
    attributes = attributes.map(([t, v]) =>
      t === IFA.FLAGS ? [t, Uint8Array.of(v[0] & ~PASSING_FLAGS, v[1])] : [t, v],
    );
  }
  // Set by the kernel as it likes: offloading, and that a link is down.
  if (kind === 'routes') header.fill(0, 8, 12);
  const said = attributes.map(([t, v]) => `${t}=${v.join('.')}`).sort();
  return `${link} ${header.join('.')} ${said.join(' ')}`;
}

export const OIF = RTA.OIF;
