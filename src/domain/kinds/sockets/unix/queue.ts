import type { Batch, BatchResult, Buf, Ref } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../../errors.js';
import { EAGAIN } from '../../../linux/flags.js';
import { closeAll } from '../../../linux/making.js';
import { check, concat } from '../../../linux/os.js';
import { int, SO, SOL_SOCKET } from '../socket-options.js';
import { withEmpty } from './empty-messages.js';
import { NO_NAME, type Sender } from './state.js';
import { MSG_PEEK_NOW, MSG_TRUNC, SOCK_STREAM, SO_PEEK_OFF } from '../../../linux/socket-numbers.js';

const MSG_OOB = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_CTRUNC = 8;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const SCM_PIDFD = 4;
/** What the kernel says where there is no id: overflowuid. */
const NOBODY = 65534;
/** Credentials, security, a pidfd, and as many descriptors as one message can have (SCM_MAX_FD, 253). */
const CONTROL = 1400;
/** Room for one piece of a queue. */
const LARGEST = 0x60000;
const SMALL = 0x1000;
const MOST_MESSAGES = 0x4000;
const MOST_BYTES = 64 * 2 ** 20;

/** A message as it was peeked at. */
export interface Peeked {
  data: Uint8Array;
  readonly from: Uint8Array;
  /** Its process by its id in the hands' namespace. */
  readonly sender?: Sender;
  /** Descriptors of the hands. */
  readonly fds: readonly number[];
}

interface Asked {
  readonly data: Buf;
  readonly name: Buf;
  readonly control: Buf;
  readonly header: Buf;
  readonly n: Ref;
}

/** Adds a recvmsg(2) that takes nothing away. */
function addPeek(b: Batch, fd: number, room: number): Asked {
  const data = b.out(room);
  const name = b.out(128);
  const control = b.out(CONTROL);
  // struct msghdr: name, namelen u32, iov, iovlen, control, controllen, flags u32 at 48.
  const bytes = new Uint8Array(56);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, 128, true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(40, BigInt(CONTROL), true);
  const header = b.inout(bytes);
  b.pointer(header, 0, name);
  b.pointer(header, 16, b.iovec(data));
  b.pointer(header, 32, control);
  return { data, name, control, header, n: b.call(SYS.recvmsg, fd, header, MSG_PEEK_NOW | MSG_CMSG_CLOEXEC) };
}

/** Control messages: length u64, level i32, type i32, data, padded to 8 bytes (cmsg(3)). */
function parseControl(view: DataView, length: number): { fds: number[]; spare: number[]; sender?: Sender } {
  const fds: number[] = [];
  const spare: number[] = [];
  let sender: Sender | undefined;
  for (let at = 0; at + 16 <= length;) {
    const size = Number(view.getBigUint64(at, true));
    const [level, type] = [view.getInt32(at + 8, true), view.getInt32(at + 12, true)];
    if (size < 16 || at + size > length) break;
    if (level === SOL_SOCKET && type === SCM_RIGHTS)
      for (let i = at + 16; i + 4 <= at + size; i += 4) fds.push(view.getInt32(i, true));
    if (level === SOL_SOCKET && type === SCM_PIDFD) spare.push(view.getInt32(at + 16, true));
    if (level === SOL_SOCKET && type === SCM_CREDENTIALS && size >= 28) {
      const [pid, uid, gid] = [0, 4, 8].map((i) => view.getUint32(at + 16 + i, true));
      if (pid !== 0 || uid !== NOBODY || gid !== NOBODY) sender = { pid, uid, gid };
    }
    at += (size + 7) & ~7;
  }
  return { fds, spare, ...(sender !== undefined && { sender }) };
}

/** Descriptors that came with what was peeked at, noted as soon as they are there. */
interface Taken {
  readonly fds: number[];
}

function takePeek(
  r: BatchResult,
  a: Asked,
  taken: Taken,
): { length: number; flags: number; piece: Peeked | undefined } {
  const length = r.value(a.n);
  const header = r.view(a.header);
  const controlLength = length < 0 ? 0 : Math.min(CONTROL, Number(header.getBigUint64(40, true)));
  const { fds, spare, sender } = parseControl(r.view(a.control), controlLength);
  taken.fds.push(...fds, ...spare);
  if (length < 0 || (length === 0 && controlLength === 0)) return { length, flags: 0, piece: undefined };
  const nameLength = header.getUint32(8, true);
  return {
    length,
    flags: header.getUint32(48, true),
    piece: {
      data: r.bytes(a.data, length),
      from: nameLength <= 2 ? NO_NAME : r.bytes(a.name, nameLength),
      fds,
      ...(sender !== undefined && { sender }),
    },
  };
}

/**
 * Whether something waits, and the descriptors that wait with the first message, of a domain that runs: nothing about the
 * socket is changed, so no more can be seen.
 */
export async function peekFirst(hands: Hands, fd: number): Promise<{ readonly some: boolean; readonly fds: number[] }> {
  const b = hands.batch();
  const asked = addPeek(b, fd, 8);
  const taken: Taken = { fds: [] };
  const { length } = takePeek(await b.run(), asked, taken);
  return { some: length >= 0, fds: taken.fds };
}

/** Whether a byte out of band waits (MSG_OOB), which is not seen among the others. */
export function addHasUrgent(b: Batch, fd: number): (r: BatchResult) => boolean {
  const byte = b.out(8);
  const n = b.call(SYS.recvfrom, fd, byte, 1, MSG_OOB | MSG_PEEK_NOW, 0, 0);
  return (r) => r.value(n) > 0;
}

/**
 * Reads everything that waits at a socket of a frozen process without taking it. The descriptors are the hands': `taken` are
 * all of them, also those that belong to no message, and are to be closed by the caller. If this throws they are closed.
 */
export async function peekAll(
  hands: Hands,
  fd: number,
  type: number,
  waiting: number,
  options: { readonly inode: number; readonly peekOffset: number; readonly passCred: number; readonly reset: boolean },
  where: string,
): Promise<{ readonly messages: Peeked[]; readonly taken: readonly number[] }> {
  const out: Peeked[] = [];
  const taken: Taken = { fds: [] };
  let bytes = 0;
  let room = waiting <= SMALL / 2 ? SMALL : LARGEST;
  // At the end of a stream an error would be told, and then be gone.
  const end = options.reset ? waiting : Infinity;
  if (end === 0) return { messages: out, taken: taken.fds };
  try {
    const seen = async (): Promise<{ messages: Peeked[]; taken: readonly number[] }> => {
      if (type === SOCK_STREAM) return { messages: out, taken: taken.fds };
      await setNumbers(hands, fd, { [SO_PEEK_OFF]: -1 });
      const b = hands.batch();
      const asked = addPeek(b, fd, 8);
      const head = takePeek(await b.run(), asked, taken).piece;
      return { messages: withEmpty(hands, options.inode, out, head), taken: taken.fds };
    };
    await setNumbers(hands, fd, { [SO_PEEK_OFF]: 0, [SO.PASSCRED]: 1 });
    for (let partial = false; ;) {
      const b = hands.batch();
      const many = room === SMALL && !options.reset ? 3 : 1;
      const asked = Array.from({ length: many }, () => addPeek(b, fd, room));
      const r = await b.run();
      for (const a of asked) {
        const { length, flags, piece } = takePeek(r, a, taken);
        const ended = length === 0 && (piece === undefined || type === SOCK_STREAM);
        if (length === -EAGAIN || ended) return await seen();
        check(length, 'reading a UNIX socket');
        if (piece === undefined) continue;
        bytes += length;
        const last = out.at(-1);
        // The rest of a message that did not fit comes with the same descriptors once more.
        if (partial && last !== undefined) last.data = concat([last.data, piece.data]);
        else out.push(piece);
        partial = (flags & MSG_TRUNC) !== 0;
        // A stream's would not say whether it goes on with the same ones.
        const unclear = type === SOCK_STREAM && length === room && piece.fds.length > 0;
        const long = type !== SOCK_STREAM && (out.at(-1)?.data.length ?? 0) > LARGEST;
        if (unclear || long || (flags & MSG_CTRUNC) !== 0 || out.length > MOST_MESSAGES || bytes > MOST_BYTES)
          throw unsupported('too much in a UNIX socket', where);
        if (bytes >= end) return await seen();
      }
      room = LARGEST;
    }
  } catch (e) {
    await closeAll(hands, taken.fds).catch(() => undefined);
    throw e;
  } finally {
    await setNumbers(hands, fd, { [SO_PEEK_OFF]: options.peekOffset, [SO.PASSCRED]: options.passCred });
  }
}

async function setNumbers(hands: Hands, fd: number, values: Readonly<Record<number, number>>): Promise<void> {
  const b = hands.batch();
  const refs = Object.entries(values).map(([name, value]) =>
    b.call(SYS.setsockopt, fd, SOL_SOCKET, Number(name), b.bytes(int(value)), 4),
  );
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), 'looking into a UNIX socket');
}

/** A message to be sent: descriptors and the sender's process are of the hands. */
export interface Outgoing {
  readonly data: Uint8Array;
  readonly sender?: Sender;
  readonly fds: readonly number[];
  /** `sockaddr_un` that it is sent to, if the sending socket is not connected there. */
  readonly to?: Uint8Array;
}

const MSG_SEND_NOW = 0x4040; // MSG_DONTWAIT | MSG_NOSIGNAL
/** More than any socket holds with the limits a system comes with. */
const ROOM_TO_SEND = 8 * LARGEST;

/** Sends messages, in order, whatever the size of the sending socket's buffer. */
export async function sendAll(hands: Hands, fd: number, messages: readonly Outgoing[]): Promise<void> {
  if (messages.length === 0) return;
  const total = messages.reduce((n, m) => n + m.data.length + 0x400, 0);
  await setNumbers(hands, fd, { [SO.SNDBUFFORCE]: Math.max(ROOM_TO_SEND, Math.min(4 * total, 2 ** 30)) });
  const pieces = messages.flatMap((m) =>
    m.data.length <= LARGEST ? [m] : inPieces(m.data).map((data, i) => ({ ...m, data, fds: i === 0 ? m.fds : [] })),
  );
  for (let next = 0; next < pieces.length;) {
    const b = hands.batch();
    const refs: { readonly n: Ref; readonly length: number }[] = [];
    for (let size = 0; next < pieces.length && refs.length < AT_ONCE; next++) {
      const piece = pieces[next];
      size += piece.data.length + CONTROL;
      if (refs.length > 0 && size > LARGEST) break;
      refs.push({ n: addSend(b, fd, piece), length: piece.data.length });
    }
    const r = await b.run();
    for (const { n, length } of refs) {
      if (check(r.value(n), 'filling a UNIX socket') !== length)
        throw new DomainError('guest', 'a UNIX socket does not take what was in the original');
    }
  }
}

/** Messages in one batch. */
const AT_ONCE = 100;

function inPieces(data: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += LARGEST) out.push(data.subarray(at, at + LARGEST));
  return out;
}

function addSend(b: Batch, fd: number, m: Outgoing): Ref {
  const control = encodeControl(m);
  const header = new Uint8Array(56);
  const view = new DataView(header.buffer);
  view.setUint32(8, m.to?.length ?? 0, true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(40, BigInt(control.length), true);
  const buf = b.bytes(header);
  if (m.to !== undefined) b.pointer(buf, 0, b.bytes(m.to));
  b.pointer(buf, 16, b.iovec(b.bytes(m.data)));
  if (control.length > 0) b.pointer(buf, 32, b.bytes(control));
  return b.call(SYS.sendmsg, fd, buf, MSG_SEND_NOW);
}

function encodeControl({ sender, fds }: Outgoing): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (type: number, words: readonly number[]): void => {
    const bytes = new Uint8Array((16 + 4 * words.length + 7) & ~7);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(16 + 4 * words.length), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, type, true);
    words.forEach((w, i) => {
      view.setUint32(16 + 4 * i, w, true);
    });
    parts.push(bytes);
  };
  if (sender !== undefined) add(SCM_CREDENTIALS, [sender.pid, sender.uid, sender.gid]);
  if (fds.length > 0) add(SCM_RIGHTS, fds);
  return concat(parts);
}
