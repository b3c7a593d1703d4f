import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError } from '../../../errors.js';
import { closeAll } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import { together } from '../../../together.js';
import type { Anchor } from '../../../tree/anchor.js';
import { makeSocket } from '../make-socket.js';
import { int } from '../socket-options.js';
import { endpointKey, endpointOf, socketAddress } from './address.js';
import { inetSockets } from './diag.js';
import { fromPeer, SHUT_WR } from './half-closed.js';
import { Injector } from './inject.js';
import { FLAG, type Segment } from './segment.js';
import type { Connected } from './tcp-pair.js';
import { allowingScale, clampFor, NO_CLAMP } from './window-scale.js';
import {
  addInfo,
  finReceived,
  INFO_SACK,
  INFO_WSCALE,
  RECV_QUEUE,
  SEND_QUEUE,
  setOption,
  STATE,
  TCP,
  type Connection,
} from './tcp-repair.js';
import { AF_INET, AF_INET6, IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** Bytes of data in one segment across the loopback interface. */
const SEGMENT = 16_000;
/** Segments in one batch. */
const AT_ONCE = 16;
/** Linux begins a connection that follows one in TIME-WAIT so far after its last sequence number (tcp_timewait_state_process). */
const AFTER_TIME_WAIT = 65_535 + 2;

/**
 * Puts connections, in which nothing was sent from this side, into the accept queues of the sockets that listen for them, in order. Nothing but a handshake makes a
 * kernel do that, and it chooses the first sequence number of its side itself, except where the same two ends had a
 * connection that is in TIME-WAIT: then it goes on from there (RFC 9293, section 3.6.1). So such a connection is made
 * first. The new one has no timestamps: their offset the kernel chooses too, and the other side would take them for old.
 */
export async function enqueue(
  hands: Hands,
  anchor: Anchor,
  listener: number,
  waiting: readonly Connected[],
): Promise<void> {
  if (waiting.length === 0) return;
  const { netns } = anchor;
  const scales = waiting.map(({ connection: { info } }) => info.receiveScale);
  const b = hands.batch();
  const [clamp, patience] = [b.inout(int(0)), b.inout(int(0))];
  b.call(SYS.getsockopt, listener, IPPROTO_TCP, TCP.WINDOW_CLAMP, clamp, b.bytes(int(4)));
  b.call(SYS.getsockopt, listener, IPPROTO_TCP, TCP.DEFER_ACCEPT, patience, b.bytes(int(4)));
  // One that waits for data would not take what only ends the handshake.
  setOption(b, listener, TCP.DEFER_ACCEPT, int(0));
  const r = await b.run();
  await allowingScale(hands, anchor, Math.max(...scales), () =>
    Injector.with(hands, netns, async (injector) => {
      await together(waiting.map((w) => makeTimeWait(hands, netns, injector, w)));
      for (const w of waiting) await shakeHands(hands, injector, listener, w);
    }),
  );
  const c = hands.batch();
  setOption(c, listener, TCP.WINDOW_CLAMP, int(r.view(clamp).getInt32(0, true) || NO_CLAMP));
  setOption(c, listener, TCP.DEFER_ACCEPT, r.bytes(patience));
  await c.run();
  await expectThere(hands, anchor, waiting);
}

/** A long queue of bytes goes in several batches. What cannot be taken is found out when all is done. */
async function shakeHands(hands: Hands, injector: Injector, listener: number, w: Connected): Promise<void> {
  const segments = handshake(w);
  for (let at = 0; at < segments.length; at += AT_ONCE) {
    const b = hands.batch();
    if (at === 0) setOption(b, listener, TCP.WINDOW_CLAMP, int(clampFor(w.connection.info.receiveScale)));
    const refs = segments.slice(at, at + AT_ONCE).map((s) => injector.add(b, s));
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), 'sending a packet in the name of another');
  }
}

const serverStart = (c: Connection): number => (c.sendSeq - 1) | 0;
const clientStart = (c: Connection): number => (c.receiveSeq - c.received.length - 1) | 0;

async function makeTimeWait(hands: Hands, netns: number, injector: Injector, w: Connected): Promise<void> {
  const { connection: c } = w;
  const [local, peer] = [endpointOf(w.local), endpointOf(w.peer)];
  const fd = await makeSocket(hands, netns, local.address.length === 4 ? AF_INET : AF_INET6);
  try {
    const [here, there] = [namedAs(w.local, local), namedAs(w.peer, peer)];
    // Each side's FIN takes one number.
    const receiveSeq = (clientStart(c) - 2) | 0;
    const sendSeq = (serverStart(c) - AFTER_TIME_WAIT - 1) | 0;
    const b = hands.batch();
    const last: Segment = {
      ...fromPeer(w, c, sendSeq + 1, FLAG.FIN | FLAG.ACK),
      seq: receiveSeq,
    };
    const refs = [
      setOption(b, fd, TCP.REPAIR, int(1)),
      b.call(SYS.bind, fd, b.bytes(here), here.length),
      setOption(b, fd, TCP.REPAIR_QUEUE, int(RECV_QUEUE)),
      setOption(b, fd, TCP.QUEUE_SEQ, int(receiveSeq)),
      setOption(b, fd, TCP.REPAIR_QUEUE, int(SEND_QUEUE)),
      setOption(b, fd, TCP.QUEUE_SEQ, int(sendSeq)),
      b.call(SYS.connect, fd, b.bytes(there), there.length),
      b.call(SYS.shutdown, fd, SHUT_WR),
      injector.add(b, last),
    ];
    const info = addInfo(b, fd);
    const r = await b.run();
    refs.forEach((ref, i) => check(r.value(ref), `preparing a connection to be accepted (${i})`));
    if (info(r).state !== STATE.CLOSE)
      throw new DomainError('guest', `a connection that prepares another came to state ${info(r).state}`);
  } finally {
    await closeAll(hands, [fd]);
  }
}

/** An IPv6 address keeps its scope; an IPv4 address that stood in an IPv6 socket is one. */
function namedAs(name: Uint8Array, end: { address: Uint8Array; port: number }): Uint8Array {
  return end.address.length === 4 ? socketAddress(end) : name;
}

function handshake(w: Connected): Segment[] {
  const { connection: c } = w;
  const first = fromPeer(w, c, serverStart(c) + 1, FLAG.ACK);
  const start = clientStart(c);
  const segments: Segment[] = [
    { ...first, seq: start, ack: 0, flags: FLAG.SYN, window: 0xffff, options: synOptions(c) },
    { ...first, seq: start + 1 },
  ];
  for (let at = 0; at < c.received.length; at += SEGMENT) {
    const data = c.received.subarray(at, at + SEGMENT);
    segments.push({ ...first, seq: start + 1 + at, flags: FLAG.ACK | FLAG.PSH, data });
  }
  if (finReceived(c.info.state)) segments.push({ ...first, seq: c.receiveSeq, flags: FLAG.ACK | FLAG.FIN });
  return segments;
}

/** Option kinds of RFC 9293, 2018 and 7323, filled up with no-operations. */
function synOptions({ mss, info }: Connection): Uint8Array {
  const out = [2, 4, mss >> 8, mss & 0xff];
  if ((info.options & INFO_SACK) !== 0) out.push(1, 1, 4, 2);
  if ((info.options & INFO_WSCALE) !== 0) out.push(1, 3, 3, info.sendScale);
  return Uint8Array.from(out);
}

/** Throws `guest` where a connection is not there, or not with all that had come. */
async function expectThere(hands: Hands, anchor: Anchor, waiting: readonly Connected[]): Promise<void> {
  const states = (1 << STATE.ESTABLISHED) | (1 << STATE.CLOSE_WAIT);
  const there = await inetSockets(hands, anchor, IPPROTO_TCP, states);
  const key = (a: Parameters<typeof endpointKey>[0], z: typeof a): string => `${endpointKey(a)} ${endpointKey(z)}`;
  const found = new Map(there.map((s) => [key(s.local, s.peer), s]));
  for (const w of waiting) {
    const { connection: c } = w;
    const socket = found.get(key(endpointOf(w.local), endpointOf(w.peer)));
    const fin = finReceived(c.info.state) ? 1 : 0;
    if (socket === undefined) throw new DomainError('guest', 'a connection to be accepted is not there');
    if (socket.received !== c.received.length + fin && socket.received !== c.received.length)
      throw new DomainError(
        'guest',
        `a connection to be accepted has ${socket.received} bytes of ${c.received.length}`,
      );
    const scales = socket.info?.[6] ?? 0;
    if ((c.info.options & INFO_WSCALE) !== 0 && scales >> 4 !== c.info.receiveScale)
      throw new DomainError(
        'guest',
        `a connection to be accepted has window scale ${scales >> 4}, not ${c.info.receiveScale}`,
      );
  }
}
