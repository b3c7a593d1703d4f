/** Rules about packets, which a network namespace has for itself, and which are not made again: they are refused by name. */
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { AT_FDCWD, CLONE, O } from '../../linux/flags.js';
import { inside } from '../../linux/inside.js';
import { readTexts } from '../../linux/os.js';
import { together } from '../../together.js';
import type { LookContext } from '../kind.js';
import { dumpAll, type Dump, type Within } from './rtnetlink.js';

const NETLINK_XFRM = 6;
const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_IPSET = 6;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const IPSET_CMD_LIST = 7;
const XFRM_MSG_GETSA = 0x12;
const XFRM_MSG_GETPOLICY = 0x15;
/** `struct nfgenmsg`: family, version u8, resource u16. */
const NFGEN = 4;

/** Files of /proc/PID/net that have lines only where somebody has made rules. */
const FILES: readonly (readonly [file: string, what: string])[] = [
  ['ip_tables_names', 'rules of iptables'],
  ['ip6_tables_names', 'rules of ip6tables'],
  ['arp_tables_names', 'rules of arptables'],
];

/** What only a module knows of, and what there is where a dump has something. */
const DUMPS: readonly (readonly [module: string, what: string, dump: Dump])[] = [
  ['nf_tables', 'rules of nftables', netfilter(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, [])],
  // An attribute comes with it: the version of the protocol, 6.
  ['ip_set', 'sets of ipset', netfilter(NFNL_SUBSYS_IPSET, IPSET_CMD_LIST, [5, 0, 1, 0, 6, 0, 0, 0])],
  [
    'xfrm_user',
    'associations of IPsec',
    { protocol: NETLINK_XFRM, type: XFRM_MSG_GETSA, header: new Uint8Array(0), size: 0 },
  ],
  [
    'xfrm_user',
    'policies of IPsec',
    { protocol: NETLINK_XFRM, type: XFRM_MSG_GETPOLICY, header: new Uint8Array(0), size: 0 },
  ],
];

function netfilter(subsystem: number, command: number, more: readonly number[]): Dump {
  const header = Uint8Array.from([0, 0, 0, 0, ...more]);
  return { protocol: NETLINK_NETFILTER, type: (subsystem << 8) | command, header, size: NFGEN };
}

/** Throws `unsupported`. A module that is not there is not asked for. */
export async function refuseRules({ hands, anchor }: Pick<LookContext, 'hands' | 'anchor'>): Promise<void> {
  const [modules = '', ...texts] = await readTexts(
    hands,
    ['/proc/modules', ...FILES.map(([file]) => `/proc/${anchor.pid}/net/${file}`)],
    2,
  );
  await refuseTold(hands, anchor, modules, texts);
}

/** As {@link refuseRules}, for a namespace that a path of the hands leads to. */
export async function refuseRulesAt(hands: Hands, at: string): Promise<void> {
  const [[modules = ''], texts] = await together([
    readTexts(hands, ['/proc/modules'], 2),
    inside(hands, at, CLONE.NEWNET, (b) => {
      const files = FILES.map(([file]) => {
        const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/net/${file}`), O.RDONLY | O.CLOEXEC, 0);
        const buf = b.out(64);
        const n = b.call(SYS.read, fd, buf, 64);
        b.call(SYS.close, fd);
        return { buf, n };
      });
      return (r) => files.map(({ buf, n }) => new TextDecoder().decode(r.bytes(buf, Math.max(0, r.value(n)))));
    }),
  ]);
  await refuseTold(hands, { pid: at }, modules, texts);
}

async function refuseTold(
  hands: Hands,
  anchor: Within,
  modules: string,
  texts: readonly (string | undefined)[],
): Promise<void> {
  const where = 'the network namespace';
  FILES.forEach(([, what], i) => {
    if ((texts[i] ?? '') !== '') throw unsupported(what, where);
  });
  const loaded = new Set(modules.split('\n').map((line) => line.split(' ')[0]));
  const asked = DUMPS.filter(([module]) => loaded.has(module));
  if (asked.length === 0) return;
  const found = await dumpAll(
    hands,
    anchor,
    asked.map(([, , dump]) => dump),
  );
  asked.forEach(([, what], i) => {
    if ((found[i]?.length ?? 0) > 0) throw unsupported(what, where);
  });
}
