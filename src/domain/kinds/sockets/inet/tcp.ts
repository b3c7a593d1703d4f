import type { Batch, BatchResult, Buf } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../../../errors.js';
import { making } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import { fileKind, type LookContext, type OpenFile } from '../../kind.js';
import {
  addSetNumber,
  addSetOptions,
  int,
  IPPROTO_IP,
  IPPROTO_IPV6,
  numberOf,
  SO,
  SOL_SOCKET,
  socketFamily,
  type SocketOption,
} from '../socket-options.js';
import { readQueue } from './accept-queue.js';
import { isBound } from './address.js';
import { threadsInConnect } from './in-connect.js';
import { addFilterLook, setFilter } from './filter.js';
import { guard, unguard } from './guard.js';
import { enqueue } from './handshake.js';
import { sendEnds, writeEnds } from './half-closed.js';
import { finishInetSocket, makeInetSocket, readInetSocket, type InetSocket } from './inet-socket.js';
import { IP, IPV6, SO_BINDTODEVICE } from './options.js';
import { addPoll, POLL } from './poll.js';
import { noteShared } from './shared-ports.js';
import { connectAgain, peerOf } from './syn-sent.js';
import { endedConnection, readEnded, type Ended } from './tcp-ended.js';
import { inAgreement, type Connected } from './tcp-pair.js';
import {
  addInfo,
  finReceived,
  readConnection,
  repairOff,
  STATE,
  TCP,
  writeConnection,
  writeSent,
  writeUnsent,
  type TcpInfo,
} from './tcp-repair.js';
import { NO_CLAMP } from './window-scale.js';
import { IPPROTO_TCP, SO_PEEK_OFF } from '../../../linux/socket-numbers.js';

const SHUT_RD = 0;
const TCP_ULP = 31;
/** What a socket without a connection says of the bytes in a segment where nobody has said anything (TCP_MSS_DEFAULT). */
const DEFAULT_SEGMENT = 536;

interface TcpState extends InetSocket {
  readonly tcpState: number;
  readonly backlog: number;
  /** The most bytes of a segment that the program wants; 0: it has not said. */
  readonly segment: number;
  /** The most bytes of its window; 0: the kernel decides. */
  readonly clamp: number;
  /** Others of the domain are bound to the same port. */
  shared: boolean;
  /** The program wants to receive no more (shutdown(2)). */
  readonly deaf: boolean;
  readonly connected: Connected | undefined;
  /** Where the connection has ended and the program does not know yet. */
  readonly ended: Ended | undefined;
  /** Where a connection is being made to: a socket address. */
  readonly connecting: Uint8Array | undefined;
  /** Connections that wait to be accepted. */
  readonly waiting: readonly Connected[];
}

const CONNECTING = 'a TCP connection that is being made from the other side';

/** Refuses what cannot be moved. Throws `unsupported`. */
async function refuse({ hands }: LookContext, file: OpenFile): Promise<void> {
  const fd = file.held;
  const where = `descriptor ${file.view.fd}`;
  const b = hands.batch();
  const info = addInfo(b, fd);
  const filter = addFilterLook(b, fd, where);
  const unlike = addRefusal(b, fd, where);
  const device = b.inout(new Uint8Array(16));
  b.call(SYS.getsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, device, b.bytes(int(16)));
  const r = await b.run();
  filter(r);
  unlike(r);
  const bound = r.bytes(device)[0] !== 0;
  refuseState(info(r), bound, where);
}

/** Adds a look for what no other socket can be given. What is answered tells its events (poll(2)), and throws `unsupported`. */
function addRefusal(b: Batch, fd: number, where: string): (r: BatchResult) => number {
  const ulp = b.inout(new Uint8Array(16));
  const layered = b.call(SYS.getsockopt, fd, IPPROTO_TCP, TCP_ULP, ulp, b.bytes(int(16)));
  const poll = addPoll(b, fd);
  return (r) => {
    if (r.value(layered) >= 0 && r.bytes(ulp)[0] !== 0) throw unsupported('TLS or another protocol over TCP', where);
    if ((poll(r) & POLL.PRI) !== 0) throw unsupportedNow('urgent data', where);
    return poll(r);
  };
}

function refuseState(info: TcpInfo, boundToDevice: boolean, where: string): void {
  if (info.state === STATE.SYN_RECV) throw unsupportedNow(CONNECTING, where);
  if (info.state === STATE.LISTEN && info.unacked > 0 && boundToDevice)
    throw unsupportedNow('a TCP connection that waits to be accepted from one device', where);
}

/**
 * TCP sockets: listening, and connected with everything that is on its way. A connection stands under
 * TCP_REPAIR from the checkpoint until its domain goes on; whichever copy is closed meanwhile says nothing
 * to the other side.
 */
export const tcp = fileKind<TcpState>({
  name: 'tcp',
  keeps:
    'listening sockets, several on one port too, with the connections that wait to be accepted (without TCP timestamps from then on); connections with both queues, sequence numbers, window scale, SACK, timestamps, how far was peeked (SO_PEEK_OFF); half closed ones; those that are being made; those that the other side has ended, with what came last; options, classic BPF filters',
  refuses:
    'a connection that waits to be accepted by a socket bound to a device; urgent data; TLS in the kernel; eBPF filters; Multipath TCP',
  independent: true,
  matches: (view) => view.link.startsWith('socket:['),
  inspect: refuse,
  async checkpoint(context, file) {
    const { hands, undo } = context;
    const fd = file.held;
    const where = `descriptor ${file.view.fd}`;
    const family = await socketFamily(hands, file);
    const { socket, more } = await readInetSocket(hands, file, family, (b) => {
      const [info, unlike] = [addInfo(b, fd), addRefusal(b, fd, where)];
      const [segment, clamp] = [b.out(4), b.out(4)];
      b.call(SYS.getsockopt, fd, IPPROTO_TCP, TCP.MAXSEG, segment, b.bytes(int(4)));
      b.call(SYS.getsockopt, fd, IPPROTO_TCP, TCP.WINDOW_CLAMP, clamp, b.bytes(int(4)));
      const number = (r: BatchResult, buf: Buf): number => r.view(buf).getInt32(0, true);
      return (r) => ({ info: info(r), events: unlike(r), segment: number(r, segment), clamp: number(r, clamp) });
    });
    const { info, events } = more;
    refuseState(info, hasDevice(socket.options), where);
    const idle = info.state === STATE.CLOSE || info.state === STATE.LISTEN;
    const base: TcpState = {
      ...socket,
      tcpState: info.state,
      backlog: info.sacked,
      clamp: more.clamp >= NO_CLAMP >> 1 ? 0 : more.clamp,
      segment: idle && more.segment !== DEFAULT_SEGMENT ? more.segment : 0,
      shared: false,
      deaf: (events & POLL.RDHUP) !== 0,
      connected: undefined,
      ended: undefined,
      connecting: undefined,
      waiting: [],
    };
    const peeked = base.options.filter((o) => o.level === SOL_SOCKET && o.name === SO_PEEK_OFF);
    if (peeked.length > 0 && numberOf(peeked, SOL_SOCKET, SO_PEEK_OFF) >= 0)
      undo.add('putting back how far was peeked', async () => {
        const b = hands.batch();
        const set = addSetOptions(b, fd, peeked);
        set(await b.run());
      });
    switch (info.state) {
      case STATE.CLOSE: {
        // A connection that was refused while a thread waits for it: it asks again, of a socket that is as it was before.
        if ((await threadsInConnect(context, file)).length > 0) return base;
        const ended = isBound(base.local) ? await readEnded(hands, fd) : undefined;
        return ended === undefined ? noteShared(context, base) : { ...base, ended };
      }
      case STATE.LISTEN:
        if (info.unacked === 0) return noteShared(context, base);
        return noteShared(context, { ...base, waiting: await readQueue(context, file, base, info.unacked) });
      case STATE.SYN_SENT:
        return { ...base, connecting: await peerOf(context, file, base.local) };
      default: {
        undo.add('giving a connection back', () => repairOff(hands, fd, reuseOf(base.options)));
        const connection = await readConnection(hands, fd);
        // The other side may have ended it since we looked.
        if (connection.info.state === STATE.CLOSE)
          return { ...base, tcpState: STATE.CLOSE, ended: await readEnded(hands, fd) };
        const connected: Connected = { local: base.local, peer: base.peer, connection };
        await inAgreement(context, fd, connected);
        for (const { tracee } of await threadsInConnect(context, file)) context.answers.set(tracee.tid, 0);
        return { ...base, connected };
      }
    }
  },
  restore: ({ hands, anchor, counters }, s) =>
    making(hands, async (note) => {
      if (s.ended !== undefined) {
        const fd = note(await endedConnection(hands, anchor.netns, s.domain, s.local, s.ended));
        await finishInetSocket(hands, anchor, fd, s, onlyListening);
        counters.bytesCopied += s.ended.received.length;
        return fd;
      }
      const repair = s.connected !== undefined;
      const fd = note(await makeInetSocket(hands, anchor, s, { repair, shared: s.shared }));
      if (s.connected !== undefined) {
        const { peer, connection: c } = s.connected;
        await guard(hands, fd, s);
        await writeConnection(hands, fd, peer, c);
        counters.bytesCopied += c.received.length + c.sent.length + c.unsent.length;
      }
      await windowAndQueue(hands, fd, s);
      await finishInetSocket(hands, anchor, fd, s, (o) =>
        repair ? notUnderRepair(o) || onlyListening(o) : s.tcpState !== STATE.LISTEN && onlyListening(o),
      );
      if (!repair && s.filter !== undefined) await setFilter(hands, fd, s.filter);
      return fd;
    }),
  async connect(user, _fd, s, held) {
    const { hands, anchor, counters } = user.context;
    if (s.connected !== undefined) {
      await writeSent(hands, held, s.connected.connection);
      await writeEnds(hands, anchor.netns, held, s.connected, s.connected.connection);
    }
    if (s.waiting.length > 0) {
      await enqueue(hands, anchor, held, s.waiting);
      counters.bytesCopied += s.waiting.reduce((n, w) => n + w.connection.received.length, 0);
    }
  },
  async activate({ hands, anchor }, fd, s) {
    if (s.connecting !== undefined) {
      // Made within the very call it would not be what a program that waits in connect(2) waits for.
      await guard(hands, fd, s);
      await connectAgain(hands, fd, s.connecting, s.flags);
      await unguard(hands, fd, s);
    }
    if (s.connected === undefined) return;
    const { connection } = s.connected;
    await unguard(hands, fd, s);
    await repairOff(hands, fd, reuseOf(s.options));
    await writeUnsent(hands, fd, connection, { size: s.sendBuffer, lock: s.bufferLock });
    await sendEnds(hands, anchor.netns, fd, s.connected, connection);
    if (s.deaf && !finReceived(connection.info.state)) await hands.syscall(SYS.shutdown, fd, SHUT_RD);
    if (s.filter !== undefined) await setFilter(hands, fd, s.filter);
  },
});

/** Repair needs the one, {@link guard} the others. */
function notUnderRepair({ level, name }: SocketOption): boolean {
  return (
    (level === SOL_SOCKET && name === SO.REUSEADDR) ||
    (level === IPPROTO_IP && name === IP.MINTTL) ||
    (level === IPPROTO_IPV6 && name === IPV6.MINHOPCOUNT)
  );
}

const onlyListening = ({ level, name }: SocketOption): boolean => level === IPPROTO_TCP && name === TCP.FASTOPEN;

/** Leaving repair forgets SO_REUSEADDR: what it shall be. */
const reuseOf = (options: readonly SocketOption[]): Uint8Array =>
  options.find((o) => o.level === SOL_SOCKET && o.name === SO.REUSEADDR)?.value ?? int(0);

const hasDevice = (options: readonly SocketOption[]): boolean =>
  options.some((o) => o.level === SOL_SOCKET && o.name === SO_BINDTODEVICE && o.value.some((byte) => byte !== 0));

/** That it listens is said while it may still be beside others: it is looked at once more then. */
async function windowAndQueue(hands: Hands, fd: number, s: TcpState): Promise<void> {
  const b = hands.batch();
  // To set the size of the buffer may have clamped the window.
  const refs = [addSetNumber(b, fd, IPPROTO_TCP, TCP.WINDOW_CLAMP, s.clamp)];
  if (s.segment > 0) refs.push(addSetNumber(b, fd, IPPROTO_TCP, TCP.MAXSEG, s.segment));
  if (s.tcpState === STATE.LISTEN) refs.push(b.call(SYS.listen, fd, s.backlog));
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), 'listening');
}
