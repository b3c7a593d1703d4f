import type { Ref } from '../../../../guest/hands/batch.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported } from '../../../errors.js';
import { making } from '../../../linux/making.js';
import { AF_PACKET } from '../../../linux/socket-numbers.js';
import { check } from '../../../linux/os.js';
import { once } from '../../../once.js';
import { fileKind, type LookContext, type OpenFile } from '../../kind.js';
import { makeSocket } from '../make-socket.js';
import { dumpSockets, inodeOf } from '../sock-diag.js';
import { socketFamily, type OptionName } from '../socket-options.js';
import { addReadPlain, addSetPlain, whereOf, type PlainSocket } from './plain-socket.js';
import { attributeOf, u32, readU32, type Entry } from '../../network/rtnetlink.js';

const SOCK_PACKET = 10;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
/** COPY_THRESH, AUXDATA, ORIGDEV, VERSION, RESERVE, LOSS, VNET_HDR, TIMESTAMP, TX_HAS_OFF, QDISC_BYPASS, IGNORE_OUTGOING. */
const OPTIONS: readonly OptionName[] = [7, 8, 9, 10, 12, 14, 15, 17, 19, 20, 23].map((n): OptionName => [
  SOL_PACKET,
  n,
  4,
]);
/** PACKET_SHOW_INFO, _MCLIST, _RING_CFG and _FANOUT. */
const SHOW = 1 | 2 | 4 | 8;
const DIAG = { INFO: 0, MCLIST: 1, RX_RING: 2, TX_RING: 3, FANOUT: 4 } as const;
/** `struct packet_diag_mclist`: index i32, count u32, type u16, length u16, address of 32 bytes. */
const MEMBERSHIP = 44;

interface Membership {
  readonly index: number;
  readonly count: number;
  readonly type: number;
  readonly address: Uint8Array;
}

interface PacketState extends PlainSocket {
  readonly memberships: readonly Membership[];
}

/** Packet sockets of the domain's network namespace, by inode, as sock_diag(7) tells them. */
const tableOf = once(async ({ hands, anchor }: LookContext): Promise<Map<number, Entry>> => {
  // struct packet_diag_req: family u8, protocol u8, pad u16, ino, show, cookie[2] u32.
  const header = new Uint8Array(20);
  header[0] = AF_PACKET;
  header.set(u32(SHOW), 8);
  // struct packet_diag_msg: family, type u8, num u16, ino, cookie[2] u32.
  const entries = await dumpSockets(hands, anchor, [header], 16);
  return new Map(entries.map((e) => [readU32(e.header, 4), e]));
});

/** packet(7) sockets. What they have received and nobody has read is lost, as it may be at any time. */
export const packetSocket = fileKind<PacketState>({
  name: 'packet',
  keeps: 'type, protocol, interface, options, memberships',
  refuses: 'rings, fanout groups',
  matches: () => false,
  async inspect(context, file) {
    await look(context, file);
  },
  checkpoint: look,
  async restore({ hands, anchor }, s) {
    return making(hands, async (note) => {
      const view = new DataView(s.name.buffer, s.name.byteOffset, s.name.length);
      // Without a protocol it hears nothing until it is bound: SO_PROTOCOL tells the one it has.
      const fd = note(
        await makeSocket(hands, anchor.netns, AF_PACKET, s.type, s.type === SOCK_PACKET ? s.protocol : 0),
      );
      const b = hands.batch();
      const must: Ref[] = [];
      const plain = addSetPlain(b, fd, s);
      for (const m of s.memberships) {
        // struct packet_mreq: ifindex i32, type u16, alen u16, address[8].
        const request = new Uint8Array(16);
        const words = new DataView(request.buffer);
        words.setInt32(0, m.index, true);
        words.setUint16(4, m.type, true);
        words.setUint16(6, m.address.length, true);
        request.set(m.address.subarray(0, 8), 8);
        for (let i = 0; i < Math.min(m.count, 16); i++)
          must.push(b.call(SYS.setsockopt, fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, b.bytes(request), 16));
      }
      if (s.type === SOCK_PACKET) {
        // struct sockaddr_pkt: family u16, device[14], protocol be16. The name of the device, if it has one.
        if (s.name[2] !== 0) must.push(b.call(SYS.bind, fd, b.bytes(s.name), s.name.length));
      } else if (view.getUint16(2, true) !== 0 || view.getInt32(4, true) !== 0) {
        // struct sockaddr_ll: family u16, protocol be16, ifindex i32, … 20 bytes.
        const name = new Uint8Array(20);
        name.set(s.name.subarray(0, 8));
        must.push(b.call(SYS.bind, fd, b.bytes(name), 20));
      }
      const r = await b.run();
      for (const ref of must) check(r.value(ref), 'binding a packet socket');
      plain(r);
      return fd;
    });
  },
});

async function look(context: LookContext, file: OpenFile): Promise<PacketState> {
  const family = await socketFamily(context.hands, file);
  const b = context.hands.batch();
  const plain = addReadPlain(b, file, family, OPTIONS);
  const r = await b.run();
  const state = plain(r);
  const where = whereOf(file);
  const entry = (await tableOf(context)).get(inodeOf(file));
  if (entry === undefined) throw unsupported('a packet socket that the kernel does not describe', where);
  for (const ring of [DIAG.RX_RING, DIAG.TX_RING])
    if (attributeOf(entry, ring) !== undefined) throw unsupported('a ring of a packet socket', where);
  if (attributeOf(entry, DIAG.FANOUT) !== undefined) throw unsupported('a packet socket in a fanout group', where);
  const list = attributeOf(entry, DIAG.MCLIST) ?? new Uint8Array(0);
  const memberships: Membership[] = [];
  for (let at = 0; at + MEMBERSHIP <= list.length; at += MEMBERSHIP) {
    const view = new DataView(list.buffer, list.byteOffset + at, MEMBERSHIP);
    const length = view.getUint16(10, true);
    memberships.push({
      index: view.getInt32(0, true),
      count: view.getUint32(4, true),
      type: view.getUint16(8, true),
      address: list.slice(at + 12, at + 12 + Math.min(8, length)),
    });
  }
  return { ...state, memberships };
}
