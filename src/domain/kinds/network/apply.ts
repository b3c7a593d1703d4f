import type { Hands } from '../../../guest/hands/hands.js';
import { DomainError } from '../../errors.js';
import { EEXIST, ENOENT, ESRCH } from '../../linux/flags.js';
import { change, nest, readU32, u32, type Attribute, type Change, type Entry, type Within } from './rtnetlink.js';
import {
  identityOf,
  IFA,
  IFLA,
  IFLA_INFO,
  isKernels,
  lookAtNetwork,
  OIF,
  SAID,
  type Link,
  type NetworkState,
  type Tied,
} from './state.js';
import { AF_INET6 } from '../../linux/socket-numbers.js';

export const RTM = {
  NEWLINK: 16,
  NEWADDR: 20,
  DELADDR: 21,
  NEWROUTE: 24,
  DELROUTE: 25,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  NEWRULE: 32,
  DELRULE: 33,
} as const;
const NLM_F = { REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400 } as const;
const VETH_INFO_PEER = 1;
const IFA_F_NODAD = 2;
const IFA_F_TENTATIVE = 0x40;
const MOST_TURNS = 3;
const EADDRNOTAVAIL = 99;

const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);

/** `struct ifinfomsg`: family u8, pad, type u16, index i32, flags u32, change u32. */
function linkHeader(index: number, flags = 0, changed = 0): Uint8Array {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, changed, true);
  return header;
}

/** Makes a network namespace that has what a new domain's has be as another was. */
export async function applyNetwork(hands: Hands, anchor: Within, wanted: NetworkState): Promise<void> {
  let there = await lookAtNetwork(hands, anchor);
  if (sameNetwork(there, wanted) && onTrial(there, wanted).length === 0) return;
  await change(hands, anchor, linkChanges(there, wanted));
  // What comes by itself with an interface that is up is there now, or in the middle of all this.
  for (let turn = 0; ; turn++) {
    there = await lookAtNetwork(hands, anchor);
    const changes = tableChanges(there, wanted);
    if (changes.length === 0) return;
    if (turn === MOST_TURNS) {
      const message = `the network does not become what it was: ${changes[0]?.what ?? ''} is not enough`;
      throw new DomainError('guest', message, { passing: true });
    }
    await change(hands, anchor, changes);
  }
}

/** Wanted addresses that are being tried: the kernel's own, of an interface that just came up. They were tried long ago. */
function onTrial(there: NetworkState, wanted: NetworkState): Tied[] {
  const tried = new Set(there.addresses.filter(isOnTrial).map((a) => identityOf('addresses', a)));
  return wanted.addresses.filter((a) => tried.has(identityOf('addresses', a)) && !isOnTrial(a));
}

const indexless = (l: Link): string =>
  JSON.stringify([l.name, l.kind, l.flags, l.mtu, l.queueLength, [...l.address], l.alias]);

export function sameNetwork(a: NetworkState, b: NetworkState): boolean {
  const said = (s: NetworkState): string[] => [
    ...s.links.map(indexless).sort(),
    ...(['addresses', 'routes', 'rules', 'neighbours'] as const).flatMap((t) =>
      s[t].map((e) => identityOf(t, e)).sort(),
    ),
  ];
  return said(a).join('\n') === said(b).join('\n');
}

function linkChanges(there: NetworkState, wanted: NetworkState): Change[] {
  const known = new Map(there.links.map((l) => [l.name, l]));
  const made = new Set<string>();
  const out: Change[] = [];
  for (const l of wanted.links) {
    if (known.has(l.name) || made.has(l.name)) continue;
    made.add(l.name);
    const peer = l.kind === 'veth' ? wanted.links.find((p) => p.index === l.peer) : undefined;
    if (peer !== undefined) made.add(peer.name);
    out.push(creation(l, peer));
  }
  for (const l of wanted.links) {
    const index = known.get(l.name)?.index ?? l.index;
    const attributes: Attribute[] = [
      [IFLA.MTU, u32(l.mtu)],
      [IFLA.TXQLEN, u32(l.queueLength)],
    ];
    const before = known.get(l.name);
    if (l.address.length > 0 && String(before?.address) !== String(l.address))
      attributes.push([IFLA.ADDRESS, l.address]);
    if ((before?.alias ?? '') !== l.alias) attributes.push([IFLA.IFALIAS, text(l.alias)]);
    if (before !== undefined && indexless(before) === indexless(l)) continue;
    const header = linkHeader(index, l.flags, SAID);
    out.push({ what: `setting up interface ${l.name}`, type: RTM.NEWLINK, flags: 0, entry: { header, attributes } });
  }
  return out;
}

function creation(l: Link, peer: Link | undefined): Change {
  const data: Attribute[] = [];
  if (peer !== undefined) {
    // The other end's own message: its header and its name.
    const [, name] = nest(0, [[IFLA.IFNAME, text(peer.name)]]);
    const header = linkHeader(peer.index);
    data.push(nest(IFLA_INFO.DATA, [[VETH_INFO_PEER, Uint8Array.from([...header, ...name])]]));
  }
  const kind: Attribute = [IFLA_INFO.KIND, text(l.kind)];
  return {
    what: `making interface ${l.name}`,
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    entry: {
      header: linkHeader(l.index),
      attributes: [[IFLA.IFNAME, text(l.name)], nest(IFLA.LINKINFO, [kind, ...data])],
    },
  };
}

function tableChanges(there: NetworkState, wanted: NetworkState): Change[] {
  const indices = new Map(there.links.map((l) => [l.name, l.index]));
  const tied = ({ link, entry }: Tied): Entry => {
    const header = entry.header.slice();
    header.set(u32(indices.get(link) ?? 0), 4);
    return { header, attributes: entry.attributes };
  };
  const routed = ({ link, entry }: Tied): Entry => ({
    // The kernel's own flags are not taken.
    header: Uint8Array.from([...entry.header.subarray(0, 8), 0, 0, 0, 0]),
    attributes: link === '' ? entry.attributes : [...entry.attributes, [OIF, u32(indices.get(link) ?? 0)]],
  });
  const tried = onTrial(there, wanted);
  const gone = (table: 'addresses' | 'routes' | 'rules' | 'neighbours'): Tied[] => missing(table, there, wanted);
  const fresh = (table: 'addresses' | 'routes' | 'rules' | 'neighbours'): Tied[] => missing(table, wanted, there);
  const all = (
    what: string,
    type: number,
    flags: number,
    entries: readonly Entry[],
    forgiven: readonly number[] = [],
  ): Change[] => entries.map((entry) => ({ what, type, flags, entry, forgiven }));
  const add = NLM_F.CREATE | NLM_F.REPLACE;
  // Those that others need come first: routes without a gateway have a narrower scope, a larger number.
  const routes = fresh('routes')
    .filter((r) => !isKernels(r.entry))
    .sort((a, b) => b.entry.header[6] - a.entry.header[6]);
  return [
    ...all('taking an address away', RTM.DELADDR, 0, [...gone('addresses'), ...tried].map(tied), [EADDRNOTAVAIL]),
    ...all('adding an address', RTM.NEWADDR, add, [...tried, ...fresh('addresses')].map(tied).flatMap(untried), [
      EEXIST,
    ]),
    ...all('taking a route away', RTM.DELROUTE, 0, gone('routes').map(routed), [ESRCH, ENOENT]),
    ...all('adding a route', RTM.NEWROUTE, NLM_F.CREATE, routes.map(routed), [EEXIST]),
    ...all(
      'taking a rule away',
      RTM.DELRULE,
      0,
      gone('rules').map((r) => r.entry),
      [ENOENT],
    ),
    ...all(
      'adding a rule',
      RTM.NEWRULE,
      NLM_F.CREATE | NLM_F.EXCL,
      fresh('rules').map((r) => r.entry),
      [EEXIST],
    ),
    ...all('taking a neighbour away', RTM.DELNEIGH, 0, gone('neighbours').map(tied), [ENOENT]),
    ...all('adding a neighbour', RTM.NEWNEIGH, add, fresh('neighbours').map(tied)),
  ];
}

/** Entries of `a` that `b` has not. */
function missing(table: 'addresses' | 'routes' | 'rules' | 'neighbours', a: NetworkState, b: NetworkState): Tied[] {
  const known = new Set(b[table].map((e) => identityOf(table, e)));
  return a[table].filter((e) => !known.has(identityOf(table, e)));
}

/** An IPv6 address is usable at once, as it was tried when it came to be; then it says what it said. */
function untried({ header, attributes }: Entry): Entry[] {
  if (header[0] !== AF_INET6) return [{ header, attributes }];
  const flags = readU32(attributes.find(([t]) => t === IFA.FLAGS)?.[1]) | IFA_F_NODAD;
  const own = header.slice();
  own[2] |= IFA_F_NODAD;
  const first = { header: own, attributes: [...attributes.filter(([t]) => t !== IFA.FLAGS), flagged(flags)] };
  return [first, { header, attributes }];
}

/** Whether an IPv6 address may turn out to be somebody else's, as far as is known yet. */
const isOnTrial = ({ entry: { header, attributes } }: Tied): boolean =>
  header[0] === AF_INET6 && (readU32(attributes.find(([t]) => t === IFA.FLAGS)?.[1]) & IFA_F_TENTATIVE) !== 0;

const flagged = (flags: number): Attribute => [IFA.FLAGS, u32(flags)];
