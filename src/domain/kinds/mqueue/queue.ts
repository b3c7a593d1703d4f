import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { inodeKey } from '../../files/inode.js';
import { CLONE, O } from '../../linux/flags.js';
import { inside } from '../../linux/inside.js';
import { making, whileOpen } from '../../linux/making.js';
import { check, open, parseStat } from '../../linux/os.js';

/** `struct mq_attr`: flags, most messages, most bytes of one, messages there are; i64 each, and as many again unused. */
const ATTR = 64;
const MAXMSG_AT = 8;
const MSGSIZE_AT = 16;
const CURMSGS_AT = 24;
const RLIMIT_MSGQUEUE = 12;
/** What a batch of messages takes at most. */
const ROOM = 400_000;
const AT_ONCE = 100;

/** A POSIX message queue. */
export interface Queue {
  readonly key: string;
  readonly linked: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly maxmsg: number;
  readonly msgsize: number;
  readonly curmsgs: number;
}

export interface Message {
  readonly priority: number;
  readonly bytes: Uint8Array;
}

/** A queue with what waits in it, in the order in which it will be received. */
export interface SavedQueue extends Queue {
  /** Without a slash before it. */
  readonly name: string;
  readonly messages: readonly Message[];
}

/** Opens a queue again, in the name of the hands, to read and write it without waiting. */
export const openQueue = (hands: Hands, path: string): Promise<number> => open(hands, path, O.RDWR | O.NONBLOCK);

/** Throws `unsupported` for a name of which not all bytes are known. */
export function refuseStrangeName(name: string, where: string): void {
  if (name.includes('\ufffd')) throw unsupported('a message queue whose name is not UTF-8', where);
}

/** Throws `unsupported` for a queue that cannot be moved. `fd`: of {@link openQueue}. */
export async function lookAtQueue(hands: Hands, fd: number, name: string): Promise<Queue> {
  const b = hands.batch();
  const [stat, attr, text] = [b.out(128), b.out(ATTR), b.out(128)];
  const calls = [
    b.call(SYS.fstat, fd, stat),
    b.call(SYS.mq_getsetattr, fd, 0, attr),
    b.call(SYS.pread64, fd, text, 128, 0),
  ];
  const r = await b.run();
  for (const call of calls) check(r.value(call), 'looking at a message queue');
  const told = /NOTIFY_PID:\s*(\d+)/.exec(new TextDecoder().decode(r.bytes(text)))?.[1];
  if (told !== '0') throw unsupported('a message queue that tells of messages (mq_notify)', name);
  const { dev, ino, mode, nlink, uid, gid } = parseStat(r.view(stat));
  const number = (at: number): number => Number(r.view(attr).getBigInt64(at, true));
  const msgsize = number(MSGSIZE_AT);
  if (msgsize > ROOM) throw unsupported('a message queue of large messages', name);
  return {
    key: inodeKey(dev, ino),
    linked: nlink > 0,
    mode: mode & 0o7777,
    uid,
    gid,
    maxmsg: number(MAXMSG_AT),
    msgsize,
    curmsgs: number(CURMSGS_AT),
  };
}

/** What waits in a queue. It can only be received: then it is sent again, as it was. Nobody else may do either meanwhile. */
export async function readMessages(hands: Hands, fd: number, { curmsgs, msgsize }: Queue): Promise<Message[]> {
  const out: Message[] = [];
  const atOnce = Math.max(1, Math.min(AT_ONCE, Math.floor(ROOM / (msgsize + 16))));
  try {
    while (out.length < curmsgs) {
      const b = hands.batch();
      const parts = Array.from({ length: Math.min(atOnce, curmsgs - out.length) }, () => {
        const [buf, priority] = [b.out(msgsize), b.out(8)];
        return { buf, priority, n: b.call(SYS.mq_timedreceive, fd, buf, msgsize, priority, 0) };
      });
      const r = await b.run();
      // One that failed does not keep those after it from being received.
      for (const { buf, priority, n } of parts)
        if (r.value(n) >= 0)
          out.push({ priority: r.view(priority).getUint32(0, true), bytes: r.bytes(buf, r.value(n)) });
      for (const { n } of parts) check(r.value(n), 'receiving messages');
    }
  } finally {
    await send(hands, fd, out);
  }
  return out;
}

async function send(hands: Hands, fd: number, messages: readonly Message[]): Promise<void> {
  for (let first = 0; first < messages.length;) {
    const b = hands.batch();
    const calls = [];
    for (let room = ROOM; first < messages.length && calls.length < AT_ONCE; first++) {
      const { bytes, priority } = messages[first];
      room -= bytes.length;
      if (room < 0 && calls.length > 0) break;
      calls.push(b.call(SYS.mq_timedsend, fd, b.bytes(bytes), bytes.length, priority, 0));
    }
    const r = await b.run();
    for (const call of calls) check(r.value(call), 'sending messages');
  }
}

/** Makes a queue in the IPC namespace of `pid`; answers a descriptor of the hands. */
export async function makeQueue(hands: Hands, pid: number, queue: SavedQueue): Promise<number> {
  const attr = new DataView(new ArrayBuffer(ATTR));
  attr.setBigInt64(MAXMSG_AT, BigInt(queue.maxmsg), true);
  attr.setBigInt64(MSGSIZE_AT, BigInt(queue.msgsize), true);
  const make = (name: string): Promise<number> =>
    inside(hands, pid, CLONE.NEWIPC, (b) => {
      const all = b.bytes(new Uint8Array(16).fill(0xff));
      b.call(SYS.prlimit64, 0, RLIMIT_MSGQUEUE, all, 0);
      const flags = O.RDWR | O.NONBLOCK | O.CREAT | O.EXCL | O.CLOEXEC;
      const fd = b.call(SYS.mq_open, b.str(name), flags, 0o600, b.bytes(new Uint8Array(attr.buffer)));
      if (!queue.linked) b.call(SYS.mq_unlink, b.str(name));
      return (r) => r.value(fd);
    });
  // One that has no name any more need not keep others from having it.
  const fd = await make(queue.linked ? queue.name : `${queue.name.slice(0, 200)}.${queue.key.replace(':', '-')}`);
  return making(hands, async (note) => {
    note(check(fd, 'making a message queue'));
    const b = hands.batch();
    const owned = [b.call(SYS.fchown, fd, queue.uid, queue.gid), b.call(SYS.fchmod, fd, queue.mode)];
    const r = await b.run();
    for (const call of owned) check(r.value(call), 'giving a message queue its owner');
    await send(hands, fd, queue.messages);
    return fd;
  });
}

/** A queue with its messages, as it is to be made again. */
export async function saveQueue(hands: Hands, path: string, name: string): Promise<SavedQueue> {
  const fd = await openQueue(hands, path);
  return whileOpen(hands, fd, async () => {
    const queue = await lookAtQueue(hands, fd, name);
    return { ...queue, name, messages: await readMessages(hands, fd, queue) };
  });
}

/** Key of a queue among memory objects. */
export const queueKey = (queue: Queue): string => `mqueue:${queue.key}`;
