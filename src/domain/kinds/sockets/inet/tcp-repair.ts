import type { Batch, BatchResult, Buf, Ref } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError } from '../../../errors.js';
import { check } from '../../../linux/os.js';
import { addSetNumber, int, SO, SOL_SOCKET } from '../socket-options.js';
import { IPPROTO_TCP, MSG_DONTWAIT, SIOCINQ, SIOCOUTQ, SO_PEEK_OFF } from '../../../linux/socket-numbers.js';

/** TCP options and states, as include/uapi/linux/tcp.h names them. */
export const TCP = {
  NODELAY: 1,
  MAXSEG: 2,
  CORK: 3,
  KEEPIDLE: 4,
  KEEPINTVL: 5,
  KEEPCNT: 6,
  SYNCNT: 7,
  LINGER2: 8,
  DEFER_ACCEPT: 9,
  WINDOW_CLAMP: 10,
  INFO: 11,
  USER_TIMEOUT: 18,
  REPAIR: 19,
  REPAIR_QUEUE: 20,
  QUEUE_SEQ: 21,
  REPAIR_OPTIONS: 22,
  FASTOPEN: 23,
  TIMESTAMP: 24,
  NOTSENT_LOWAT: 25,
  REPAIR_WINDOW: 29,
} as const;

export const STATE = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
} as const;

export const RECV_QUEUE = 1;
export const SEND_QUEUE = 2;
const SIOCOUTQNSD = 0x894b;
const MSG_PEEK = 2;
const MSG_NOSIGNAL = 0x4000;
const INFO_SIZE = 104;
const CHUNK = 0x10000;
/** How often a connection is read that changes while it is read. */
export const MOST_LOOKS = 50;

const INFO_TIMESTAMPS = 1;
export const INFO_SACK = 2;
export const INFO_WSCALE = 4;

/** `struct tcp_info`, its first members. */
export interface TcpInfo {
  readonly state: number;
  readonly options: number;
  readonly sendScale: number;
  readonly receiveScale: number;
  /** For a listening socket: connections waiting to be accepted, and how many may. */
  readonly unacked: number;
  readonly sacked: number;
}

function parseInfo(view: DataView): TcpInfo {
  const scales = view.getUint8(6);
  return {
    state: view.getUint8(0),
    options: view.getUint8(5),
    sendScale: scales & 15,
    receiveScale: scales >> 4,
    unacked: view.getUint32(24, true),
    sacked: view.getUint32(28, true),
  };
}

export function addInfo(b: Batch, fd: number): (r: BatchResult) => TcpInfo {
  const info = b.out(INFO_SIZE);
  const n = getOption(b, fd, TCP.INFO, info);
  return (r) => {
    check(r.value(n), 'TCP_INFO');
    return parseInfo(r.view(info));
  };
}

export async function tcpInfo(hands: Hands, fd: number): Promise<TcpInfo> {
  const b = hands.batch();
  const info = addInfo(b, fd);
  return info(await b.run());
}

function getOption(b: Batch, fd: number, name: number, out: Buf): Ref {
  return b.call(SYS.getsockopt, fd, IPPROTO_TCP, name, out, b.bytes(int(out.length)));
}

export function setOption(b: Batch, fd: number, name: number, value: Uint8Array): Ref {
  return b.call(SYS.setsockopt, fd, IPPROTO_TCP, name, b.bytes(value), value.length);
}

/** The state of a connection between its two ends, as TCP_REPAIR shows it. */
export interface Connection {
  readonly info: TcpInfo;
  readonly mss: number;
  readonly timestamp: number;
  /** Sequence number after the last byte of each queue; a FIN has one more, and is not counted here. */
  readonly receiveSeq: number;
  readonly sendSeq: number;
  readonly received: Uint8Array;
  /** Sent and not acknowledged, then not yet sent. */
  readonly sent: Uint8Array;
  readonly unsent: Uint8Array;
  /** `struct tcp_repair_window`: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup, u32 each. */
  readonly window: Uint8Array;
}

/** Gives a connection back to the protocol; the other side is told our window at once. `reuse`: SO_REUSEADDR, which repair forgets. */
export async function repairOff(hands: Hands, fd: number, reuse: Uint8Array): Promise<void> {
  const b = hands.batch();
  const n = setOption(b, fd, TCP.REPAIR, int(0));
  b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.REUSEADDR, b.bytes(reuse), reuse.length);
  check((await b.run()).value(n), 'TCP_REPAIR');
}

/** True for a state in which the other side's FIN has come. Its sequence number counts in the receive queue's. */
export function finReceived(state: number): boolean {
  return state === STATE.CLOSE_WAIT || state === STATE.LAST_ACK || state === STATE.CLOSING;
}

/** True for a state in which our FIN is in the send queue or was acknowledged. */
export function finSent(state: number): boolean {
  return state === STATE.FIN_WAIT1 || state === STATE.FIN_WAIT2 || state === STATE.CLOSING || state === STATE.LAST_ACK;
}

/** True for a state in which the other side has acknowledged our FIN. */
export function finAcknowledged(state: number): boolean {
  return state === STATE.FIN_WAIT2;
}

/**
 * Takes a connection out of the protocol's hands and reads it: closing it says nothing to the other side.
 * {@link repairOff} gives it back, unchanged. Repair does not stop what the kernel receives, or sends again when its
 * time has come: what is read is of one moment, as the numbers stood the same before and after.
 */
export async function readConnection(hands: Hands, fd: number): Promise<Connection> {
  for (let look = 0; look < MOST_LOOKS; look++) {
    const b = hands.batch();
    const info = b.out(INFO_SIZE);
    const mss = b.out(4);
    const timestamp = b.out(4);
    const window = b.out(20);
    addPeekFromStart(b, fd);
    const on = setOption(b, fd, TCP.REPAIR, int(1));
    const before = addCounts(b, fd);
    const refs = [
      getOption(b, fd, TCP.INFO, info),
      getOption(b, fd, TCP.MAXSEG, mss),
      getOption(b, fd, TCP.TIMESTAMP, timestamp),
      getOption(b, fd, TCP.REPAIR_WINDOW, window),
    ];
    const during = addCounts(b, fd);
    const r = await b.run();
    [on, ...refs].forEach((ref, i) => check(r.value(ref), `reading a TCP connection (${i})`));
    const u32 = (buf: Buf): number => r.view(buf).getUint32(0, true);
    const state = parseInfo(r.view(info));
    const counts = before(r);
    // A FIN in a queue counts as one byte that cannot be read.
    const finWaits = finSent(state.state) && !finAcknowledged(state.state);
    const outBytes = Math.max(0, counts.outq - (finWaits ? 1 : 0));
    const unsentBytes = Math.min(outBytes, Math.max(0, counts.unsent - (finWaits ? 1 : 0)));
    const received = await peekQueue(hands, fd, RECV_QUEUE, counts.inq);
    const out = await peekQueue(hands, fd, SEND_QUEUE, outBytes);
    let after = during(r);
    if (received.length + out.length > 0) {
      const c = hands.batch();
      const last = addCounts(c, fd);
      after = last(await c.run());
    }
    const stood = (Object.keys(counts) as (keyof Counts)[]).every((k) => counts[k] === after[k]);
    if (!stood || received.length !== counts.inq || out.length !== outBytes) continue;
    return {
      info: state,
      mss: u32(mss),
      timestamp: u32(timestamp),
      receiveSeq: (counts.receiveSeq - (finReceived(state.state) ? 1 : 0)) >>> 0,
      sendSeq: (counts.sendSeq - (finSent(state.state) ? 1 : 0)) >>> 0,
      received,
      sent: out.subarray(0, out.length - unsentBytes),
      unsent: out.subarray(out.length - unsentBytes),
      window: r.bytes(window),
    };
  }
  throw new DomainError('state', 'a TCP connection does not stand still');
}

/** Where the queues of a connection begin and end; u32 each. */
interface Counts {
  readonly inq: number;
  readonly outq: number;
  readonly unsent: number;
  readonly receiveSeq: number;
  readonly sendSeq: number;
}

function addCounts(b: Batch, fd: number): (r: BatchResult) => Counts {
  const [inq, outq, unsent, receiveSeq, sendSeq] = [b.out(4), b.out(4), b.out(4), b.out(4), b.out(4)];
  const refs = [
    b.call(SYS.ioctl, fd, SIOCINQ, inq),
    b.call(SYS.ioctl, fd, SIOCOUTQ, outq),
    b.call(SYS.ioctl, fd, SIOCOUTQNSD, unsent),
    setOption(b, fd, TCP.REPAIR_QUEUE, int(RECV_QUEUE)),
    getOption(b, fd, TCP.QUEUE_SEQ, receiveSeq),
    setOption(b, fd, TCP.REPAIR_QUEUE, int(SEND_QUEUE)),
    getOption(b, fd, TCP.QUEUE_SEQ, sendSeq),
  ];
  return (r) => {
    refs.forEach((ref, i) => check(r.value(ref), `reading the queues of a TCP connection (${i})`));
    const u32 = (buf: Buf): number => r.view(buf).getUint32(0, true);
    return {
      inq: u32(inq),
      outq: u32(outq),
      unsent: u32(unsent),
      receiveSeq: u32(receiveSeq),
      sendSeq: u32(sendSeq),
    };
  };
}

/**
 * True if two ends of one connection were read such that each knows no more of the other than that has been read
 * to have: what one end was told to have arrived is in the other's queue. What the kernel sends on its own between
 * the two reads would else be lost for ever.
 */
export function agree(x: Connection, y: Connection): boolean {
  const fits = (from: Connection, to: Connection): boolean => {
    const sentEnd = from.sendSeq - from.unsent.length;
    // RFC 9293, section 3.4: SND.UNA =< RCV.NXT =< SND.NXT, in arithmetic modulo 2^32.
    return ((to.receiveSeq - (sentEnd - from.sent.length)) | 0) >= 0 && ((sentEnd - to.receiveSeq) | 0) >= 0;
  };
  // Nobody has a FIN that was not sent, nor an answer to one that has not come.
  const ends = (from: Connection, to: Connection): boolean =>
    (!finReceived(to.info.state) || finSent(from.info.state)) &&
    (!finAcknowledged(from.info.state) || finReceived(to.info.state));
  return fits(x, y) && fits(y, x) && ends(x, y) && ends(y, x);
}

/**
 * What one end has sent and the other has not received is still to be sent: both are known, and nothing is on its way
 * between them. The kernel would wait for seconds before it sends it again. The ends must agree.
 */
export function settle(from: Connection, to: Connection): Connection {
  const unacknowledged = from.sendSeq - from.unsent.length - from.sent.length;
  const arrived = (to.receiveSeq - unacknowledged) | 0;
  if (arrived >= from.sent.length) return from;
  const unsent = new Uint8Array(from.sent.length - arrived + from.unsent.length);
  unsent.set(from.sent.subarray(arrived));
  unsent.set(from.unsent, from.sent.length - arrived);
  return { ...from, sent: from.sent.subarray(0, arrived), unsent };
}

/** Adds that a look into the queue of a socket begins at its front, however far somebody has peeked before. */
export function addPeekFromStart(b: Batch, fd: number): void {
  addSetNumber(b, fd, SOL_SOCKET, SO_PEEK_OFF, -1);
}

/** Reads a queue without taking anything from it. A peek always begins at the front, so one read must do. */
async function peekQueue(hands: Hands, fd: number, queue: number, length: number): Promise<Uint8Array> {
  if (length === 0) return new Uint8Array(0);
  if (length <= hands.transport.size - 0x1000) {
    const b = hands.batch();
    const out = b.out(length);
    setOption(b, fd, TCP.REPAIR_QUEUE, int(queue));
    const n = b.call(SYS.recvfrom, fd, out, length, MSG_PEEK | MSG_DONTWAIT, 0, 0);
    const r = await b.run();
    return r.bytes(out, check(r.value(n), 'reading a TCP queue'));
  }
  return peekLong(hands, fd, queue, length);
}

/** As above, for more than the hands' scratch memory holds: through a mapping of their own. */
async function peekLong(hands: Hands, fd: number, queue: number, length: number): Promise<Uint8Array> {
  const size = (length + 4095) & ~4095;
  const at = check(await hands.syscall(SYS.mmap, 0, size, 3, 0x8022, -1, 0), 'memory for a TCP queue');
  try {
    const b = hands.batch();
    setOption(b, fd, TCP.REPAIR_QUEUE, int(queue));
    const n = b.call(SYS.recvfrom, fd, at, length, MSG_PEEK | MSG_DONTWAIT, 0, 0);
    const got = check((await b.run()).value(n), 'reading a TCP queue');
    const out = new Uint8Array(got);
    const self = await hands.syscall(SYS.getpid);
    for (let done = 0; done < got;) {
      const c = hands.batch();
      const part = Math.min(0x80000, got - done);
      const buf = c.out(part);
      const m = c.call(SYS.process_vm_readv, self, c.iovec(buf), 1, c.iovec([at + done, part]), 1, 0);
      const r = await c.run();
      out.set(r.bytes(buf, check(r.value(m), 'reading a TCP queue')), done);
      done += part;
    }
    return out;
  } finally {
    await hands.syscall(SYS.munmap, at, size);
  }
}

/** What TCP_MAXSEG takes: TCP_MIN_MSS to MAX_TCP_WINDOW. */
const LEAST_SEGMENT = 88;
const GREATEST_SEGMENT = 32767;

/**
 * Makes a bound socket under repair the end of a connection that exists already. It stays under repair, and does not
 * know yet that anything was sent: the kernel might send it again before the other end is there, and be refused.
 */
export async function writeConnection(hands: Hands, fd: number, peer: Uint8Array, c: Connection): Promise<void> {
  const { options, sendScale, receiveScale } = c.info;
  const receiveStart = c.receiveSeq - c.received.length;
  const sendStart = c.sendSeq - c.sent.length - c.unsent.length;
  const b = hands.batch();
  const refs = [
    setOption(b, fd, TCP.REPAIR_QUEUE, int(RECV_QUEUE)),
    setOption(b, fd, TCP.QUEUE_SEQ, int(receiveStart | 0)),
    setOption(b, fd, TCP.REPAIR_QUEUE, int(SEND_QUEUE)),
    setOption(b, fd, TCP.QUEUE_SEQ, int(sendStart | 0)),
    // The kernel reckons here how large its segments are, from what little it knows of the peer, and not again.
    setOption(b, fd, TCP.MAXSEG, int(Math.min(Math.max(c.mss, LEAST_SEGMENT), GREATEST_SEGMENT))),
    b.call(SYS.connect, fd, b.bytes(peer), peer.length),
    setOption(b, fd, TCP.MAXSEG, int(0)),
    setOption(b, fd, TCP.REPAIR_OPTIONS, repairOptions(c.mss, options, sendScale, receiveScale)),
  ];
  if ((options & INFO_TIMESTAMPS) !== 0) refs.push(setOption(b, fd, TCP.TIMESTAMP, int(c.timestamp | 0)));
  // The window is that of after the queues are full.
  if (c.received.length + c.sent.length === 0) refs.push(setOption(b, fd, TCP.REPAIR_WINDOW, windowOf(c)));
  const r = await b.run();
  refs.forEach((ref, i) => check(r.value(ref), `restoring a TCP connection (${i})`));
  await fill(hands, fd, RECV_QUEUE, c.received);
}

/** Once both ends are there: what was sent, and not acknowledged, is sent. */
export async function writeSent(hands: Hands, fd: number, c: Connection): Promise<void> {
  if (c.received.length + c.sent.length === 0) return;
  if (c.sent.length > 0) await makeRoom(hands, fd, AMPLE);
  await fill(hands, fd, SEND_QUEUE, c.sent);
  const b = hands.batch();
  const window = setOption(b, fd, TCP.REPAIR_WINDOW, windowOf(c));
  check((await b.run()).value(window), 'restoring a TCP window');
}

/** The window before the other side's FIN comes, which has room for it: `rcv_wup` not after it, `rcv_wnd` beyond it. */
export function windowOf(c: Connection): Uint8Array {
  if (!finReceived(c.info.state)) return c.window;
  const out = c.window.slice();
  const view = new DataView(out.buffer);
  // snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup: u32 each
  const end = view.getUint32(16, true) + view.getUint32(12, true);
  view.setUint32(16, c.receiveSeq, true);
  view.setUint32(12, Math.max(1, (end - c.receiveSeq) | 0), true);
  if (((view.getUint32(0, true) - c.receiveSeq) | 0) > 0) view.setUint32(0, c.receiveSeq, true);
  return out;
}

/** Once {@link repairOff} has let it: sends what was to be sent. Throws `guest` rather than lose any of it. */
export async function writeUnsent(hands: Hands, fd: number, c: Connection, buffer: SendBuffer): Promise<void> {
  if (c.unsent.length > 0) {
    await makeRoom(hands, fd, AMPLE);
    await fill(hands, fd, undefined, c.unsent);
  }
  if (c.sent.length + c.unsent.length > 0) await makeRoom(hands, fd, buffer.size, buffer.lock);
}

/** How much a socket may keep to send, as SO_SNDBUF tells it, and whether its program has said so (SO_BUF_LOCK). */
export interface SendBuffer {
  readonly size: number;
  readonly lock: number;
}

/** Bytes for whatever a send queue held: the same bytes count for more, or less, when they come in other pieces. */
const AMPLE = 1 << 26;

async function makeRoom(hands: Hands, fd: number, size: number, lock?: number): Promise<void> {
  const b = hands.batch();
  const done = b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.SNDBUFFORCE, b.bytes(int(size >> 1)), 4);
  if (lock !== undefined) b.call(SYS.setsockopt, fd, SOL_SOCKET, SO.BUF_LOCK, b.bytes(int(lock)), 4);
  check((await b.run()).value(done), 'SO_SNDBUFFORCE');
}

/** `struct tcp_repair_opt`: code u32, value u32; codes are the option kinds of RFC 9293 and 7323. */
function repairOptions(mss: number, options: number, sendScale: number, receiveScale: number): Uint8Array {
  const out: number[] = [2, mss];
  if ((options & INFO_WSCALE) !== 0) out.push(3, sendScale | (receiveScale << 16));
  if ((options & INFO_SACK) !== 0) out.push(4, 0);
  if ((options & INFO_TIMESTAMPS) !== 0) out.push(8, 0);
  return new Uint8Array(new Uint32Array(out).buffer);
}

/** Puts bytes into a queue of a connection under repair, or (no queue) sends them. Throws `guest` unless all of them fit. */
async function fill(hands: Hands, fd: number, queue: number | undefined, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length;) {
    const part = data.subarray(at, at + CHUNK);
    const b = hands.batch();
    if (queue !== undefined) setOption(b, fd, TCP.REPAIR_QUEUE, int(queue));
    const n = b.call(SYS.sendto, fd, b.bytes(part), part.length, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
    at += check((await b.run()).value(n), 'filling a TCP queue');
  }
}
