import type { Batch, Ref } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../../../errors.js';
import { making } from '../../../linux/making.js';
import { check, readText } from '../../../linux/os.js';
import { once } from '../../../once.js';
import { fileKind, type LookContext, type OpenFile } from '../../kind.js';
import { makeSocket } from '../make-socket.js';
import { inodeOf } from '../sock-diag.js';
import { int, SO, SOL_SOCKET, socketFamily, type OptionName } from '../socket-options.js';
import { addReadPlain, addSetPlain, whereOf, type PlainSocket } from './plain-socket.js';
import { AF_NETLINK, MSG_DONTWAIT } from '../../../linux/socket-numbers.js';

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_LIST_MEMBERSHIPS = 9;
/** PKTINFO, BROADCAST_ERROR, NO_ENOBUFS, LISTEN_ALL_NSID, CAP_ACK, EXT_ACK, GET_STRICT_CHK. */
const OPTIONS: readonly OptionName[] = [
  ...[3, 4, 5, 8, 10, 11, 12].map((name): OptionName => [SOL_NETLINK, name, 4]),
  [SOL_SOCKET, SO.PASSCRED, 4],
];
const GROUP_BYTES = 64;
/** Messages taken out in one batch, and how often. */
const AT_ONCE = 20;
const MOST_TURNS = 50;
/**
 * Protocols behind which the kernel remembers nothing of a socket but its groups: ROUTE, USERSOCK, SOCK_DIAG, XFRM,
 * KOBJECT_UEVENT, CRYPTO. Behind others it does, or their numbers are another kernel's.
 */
const KEPT: readonly number[] = [0, 2, 4, 6, 15, 21];
const NAMES: Readonly<Record<number, string>> = {
  5: 'netfilter logging',
  7: 'SELinux',
  9: 'audit',
  11: 'connector',
  12: 'netfilter',
  16: 'generic netlink',
  20: 'RDMA',
};

interface NetlinkState extends PlainSocket {
  /** `sockaddr_nl` of whom it is connected to. */
  readonly peer: Uint8Array;
  readonly groups: readonly number[];
}

interface Row {
  readonly waits: boolean;
  readonly dumps: boolean;
}

/** /proc/net/netlink: sk, Eth, Pid, Groups, Rmem, Wmem, Dump, Locks, Drops, Inode. */
const tableOf = once(async ({ hands, anchor }: LookContext): Promise<Map<number, Row>> => {
  const text = (await readText(hands, `/proc/${anchor.pid}/net/netlink`)) ?? '';
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  return new Map(rows.map((w) => [Number(w[9]), { waits: Number(w[4]) > 0, dumps: Number(w[6]) > 0 }]));
});

/** netlink(7) sockets, bound or not, with their groups. */
export const netlinkSocket = fileKind<NetlinkState>({
  name: 'netlink',
  keeps: 'protocol, port, groups, options, of the protocols ROUTE, USERSOCK, SOCK_DIAG, XFRM, KOBJECT_UEVENT, CRYPTO',
  refuses: 'other protocols, answers that are not read yet, a dump under way',
  matches: () => false,
  async inspect(context, file) {
    await look(context, file);
  },
  checkpoint: look,
  async restore({ hands, anchor }, s) {
    return making(hands, async (note) => {
      const fd = note(await makeSocket(hands, anchor.netns, AF_NETLINK, s.type, s.protocol));
      const b = hands.batch();
      const must: Ref[] = [];
      if (portOf(s.name) !== 0) must.push(b.call(SYS.bind, fd, b.bytes(addressOf(portOf(s.name))), 12));
      for (const group of s.groups)
        must.push(b.call(SYS.setsockopt, fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, b.bytes(int(group)), 4));
      if (s.peer.some((byte, i) => i >= 4 && byte !== 0))
        must.push(b.call(SYS.connect, fd, b.bytes(s.peer), s.peer.length));
      const plain = addSetPlain(b, fd, s);
      const r = await b.run();
      for (const ref of must) check(r.value(ref), 'binding a netlink socket');
      plain(r);
      return fd;
    });
  },
  async activate({ hands }, fd, { groups }) {
    if (groups.length > 0) await forget(hands, fd);
  },
});

/**
 * Takes out what the restoration itself has told to whoever listens, such as of modules that were loaded for it. Others
 * may tell as fast as it is read: what is there after as much as a queue usually holds is theirs.
 */
async function forget(hands: Hands, fd: number): Promise<void> {
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const b = hands.batch();
    for (let i = 0; i < AT_ONCE; i++) b.must(SYS.recvfrom, fd, 0, 0, MSG_DONTWAIT, 0, 0);
    const last = b.call(SYS.recvfrom, fd, 0, 0, MSG_DONTWAIT, 0, 0);
    if ((await b.run()).value(last) < 0) return;
  }
}

async function look(context: LookContext, file: OpenFile): Promise<NetlinkState> {
  const family = await socketFamily(context.hands, file);
  const b = context.hands.batch();
  const plain = addReadPlain(b, file, family, OPTIONS);
  const peer = addPeer(b, file.held);
  const bits = b.out(GROUP_BYTES);
  const size = b.inout(int(GROUP_BYTES));
  b.call(SYS.getsockopt, file.held, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, bits, size);
  const r = await b.run();
  const state = plain(r);
  const where = whereOf(file);
  if (!KEPT.includes(state.protocol))
    throw unsupported(`a netlink socket of ${NAMES[state.protocol] ?? `protocol ${state.protocol}`}`, where);
  const length = r.view(size).getUint32(0, true);
  if (length > GROUP_BYTES) throw unsupported('a netlink socket with very many groups', where);
  const row = (await tableOf(context)).get(inodeOf(file));
  if (row?.dumps === true) throw unsupportedNow('a netlink socket with a dump under way', where);
  if (row?.waits === true) throw unsupportedNow('a netlink socket with something unread', where);
  const set = r.bytes(bits, length);
  const groups = Array.from({ length: 8 * set.length }, (_, i) => i).filter(
    (i) => ((set[i >> 3] >> (i & 7)) & 1) !== 0,
  );
  return { ...state, peer: peer(r), groups: groups.map((i) => i + 1) };
}

function addPeer(b: Batch, fd: number): (r: Parameters<ReturnType<typeof addReadPlain>>[0]) => Uint8Array {
  const name = b.out(12);
  const n = b.call(SYS.getpeername, fd, name, b.bytes(int(12)));
  return (r) => (r.value(n) < 0 ? new Uint8Array(12) : r.bytes(name));
}

/** `struct sockaddr_nl`: family u16, pad u16, pid u32, groups u32. */
const portOf = (name: Uint8Array): number => new DataView(name.buffer, name.byteOffset).getUint32(4, true);
function addressOf(port: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(4, port, true);
  return bytes;
}
