import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError } from '../../../errors.js';
import { check } from '../../../linux/os.js';
import { makeSocket } from '../make-socket.js';
import { addReadOptions, int, SO, SOL_SOCKET } from '../socket-options.js';
import { addPoll, POLL } from './poll.js';
import { addInfo, addPeekFromStart, STATE, TCP, writeConnection, writeSent, type Connection } from './tcp-repair.js';
import { AF_INET, IPPROTO_TCP, MSG_PEEK_NOW, SIOCINQ } from '../../../linux/socket-numbers.js';

const WINDOW = 0xffff;
/** `struct linger`: on, 0 seconds: to close is to end hard. */
const HARD = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);

/** A connection that the other side has ended (by RST, or by silence), while its socket is still open. */
export interface Ended {
  /** What had come before, and was not read. */
  readonly received: Uint8Array;
  /** Whether the program has still to be told: its next call answers ECONNRESET, not the end of the file. */
  readonly error: boolean;
}

/** Looks at a socket in the state CLOSE; undefined if it was never connected. */
export async function readEnded(hands: Hands, fd: number): Promise<Ended | undefined> {
  const b = hands.batch();
  const poll = addPoll(b, fd);
  const waiting = b.out(4);
  b.call(SYS.ioctl, fd, SIOCINQ, waiting);
  addPeekFromStart(b, fd);
  const r = await b.run();
  const events = poll(r);
  if ((events & POLL.RDHUP) === 0) return undefined;
  const length = r.view(waiting).getUint32(0, true);
  const error = (events & POLL.ERR) !== 0;
  if (length === 0) return { received: new Uint8Array(0), error };
  // Never more than there is: a read beyond it would take the error away.
  const c = hands.batch();
  const buf = c.out(length);
  const got = c.call(SYS.recvfrom, fd, buf, length, MSG_PEEK_NOW, 0, 0);
  const cr = await c.run();
  return { received: cr.bytes(buf, check(cr.value(got), 'reading what came last')), error };
}

/**
 * Makes a socket whose connection has ended: both ends of one are made under repair, across the domain's loopback
 * interface, and the other end is closed hard. Answers a descriptor of the hands.
 */
export async function endedConnection(
  hands: Hands,
  netns: number,
  domain: number,
  local: Uint8Array,
  ended: Ended,
): Promise<number> {
  const name = onThisComputer(domain, local);
  const count = ended.received.length;
  const fd = await makeSocket(hands, netns, domain);
  try {
    const other = await makeSocket(hands, netns, domain);
    try {
      const here = end(0, count, ended.received);
      const there = await bindBoth(hands, fd, name, other);
      await writeConnection(hands, fd, there, here);
      await writeConnection(hands, other, name, end(count, 0, new Uint8Array(0)));
      await writeSent(hands, fd, here);
      const b = hands.batch();
      const hard = b.call(SYS.setsockopt, other, SOL_SOCKET, SO.LINGER, b.bytes(HARD), HARD.length);
      const off = b.call(SYS.setsockopt, other, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(0)), 4);
      const r = await b.run();
      for (const ref of [hard, off]) check(r.value(ref), 'ending a connection');
    } finally {
      await hands.syscall(SYS.close, other);
    }
    const b = hands.batch();
    const off = b.call(SYS.setsockopt, fd, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(0)), 4);
    const arrived = b.out(4);
    b.call(SYS.ioctl, fd, SIOCINQ, arrived);
    const info = addInfo(b, fd);
    // Reading the error takes it away.
    if (!ended.error) addReadOptions(b, fd, [[SOL_SOCKET, SO.ERROR, 4]]);
    const r = await b.run();
    check(r.value(off), 'TCP_REPAIR');
    if (info(r).state !== STATE.CLOSE || r.view(arrived).getUint32(0, true) !== count)
      throw new DomainError('guest', 'a connection that is to be ended does not end');
    return fd;
  } catch (e) {
    await hands.syscall(SYS.close, fd);
    throw e;
  }
}

/** An end of a connection without options, in which so many bytes have gone each way. */
function end(sent: number, receivedBytes: number, received: Uint8Array): Connection {
  const window = new Uint32Array([receivedBytes, WINDOW, WINDOW, WINDOW, receivedBytes]);
  return {
    info: { state: STATE.ESTABLISHED, options: 0, sendScale: 0, receiveScale: 0, unacked: 0, sacked: 0 },
    mss: 536,
    timestamp: 0,
    receiveSeq: receivedBytes,
    sendSeq: sent,
    received,
    sent: new Uint8Array(0),
    unsent: new Uint8Array(0),
    window: new Uint8Array(window.buffer),
  };
}

/** A connection that was never made may have no address but a port. */
function onThisComputer(domain: number, local: Uint8Array): Uint8Array {
  // struct sockaddr_in: address at 4; struct sockaddr_in6: at 8.
  const [at, length] = domain === AF_INET ? [4, 4] : [8, 16];
  if (local.subarray(at, at + length).some((byte) => byte !== 0)) return local;
  const name = local.slice();
  if (domain === AF_INET) name[at] = 127;
  name[at + length - 1] = 1;
  return name;
}

/** Binds the one where it was, the other wherever there is room; answers where that is. */
async function bindBoth(hands: Hands, fd: number, name: Uint8Array, other: number): Promise<Uint8Array> {
  const anywhere = name.slice();
  anywhere.fill(0, 2, 4);
  const b = hands.batch();
  // Under repair it may be bound where others listen.
  const refs = [
    b.call(SYS.setsockopt, fd, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(1)), 4),
    b.call(SYS.bind, fd, b.bytes(name), name.length),
    b.call(SYS.setsockopt, other, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(1)), 4),
    b.call(SYS.bind, other, b.bytes(anywhere), anywhere.length),
  ];
  const got = b.out(name.length);
  refs.push(b.call(SYS.getsockname, other, got, b.inout(int(name.length))));
  const r = await b.run();
  refs.forEach((ref, i) => check(r.value(ref), `making a connection to be ended (${i})`));
  return r.bytes(got);
}
