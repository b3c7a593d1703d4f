import type { Batch, Buf, Ref } from '../../../guest/hands/batch.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { AT_FDCWD, IPC_SET, IPC_STAT, O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import type { CheckpointContext, RestoreContext } from '../kind.js';
import { readInside } from './inside-files.js';
import { eachInside, makeEach, ownership, PERM_BYTES } from './make.js';
import { ipcOf, type IpcEntry } from './tables.js';

const IPC_NOWAIT = 0o4000;
const MSG_COPY = 0o40000;
/** `struct msqid64_ds`: its bytes, and where the number of bytes that a queue may hold is. */
const MSQID_DS = PERM_BYTES + 72;
const QBYTES_AT = 88;
/** A message begins with its type, i64. */
const TYPE = 8;
/** What one batch of messages may take. */
const ROOM = 300_000;
const CALLS = 50;

/** A message queue, with what waits in it in its order. */
export interface Queue extends IpcEntry {
  readonly qbytes: number;
  /** Each begins with its type. */
  readonly messages: readonly Uint8Array[];
}

export async function checkpointQueues(context: CheckpointContext): Promise<Queue[]> {
  const { hands, anchor } = context;
  const { queues } = await ipcOf(context);
  const sizes = await eachInside(hands, anchor.pid, queues, CALLS, (b, { id }) => {
    const stat = b.out(MSQID_DS);
    const n = b.call(SYS.msgctl, id, IPC_STAT, stat);
    return (r) => {
      check(r.value(n), `looking at message queue ${id}`);
      return Number(r.view(stat).getBigUint64(QBYTES_AT, true));
    };
  });
  const most = queues.some((q) => countOf(q) > 0) ? await mostBytes(context) : 0;
  return together(
    queues.map(async (queue, i) => ({
      ...queue,
      columns: new Map(),
      qbytes: sizes[i],
      messages: await messagesOf(context, queue, most),
    })),
  );
}

const countOf = (queue: IpcEntry): number => queue.columns.get('qnum') ?? 0;

/** Copies of the messages in a queue; they stay in it (MSG_COPY of msgrcv(2)). `most`: of {@link mostBytes}. */
async function messagesOf(context: CheckpointContext, queue: IpcEntry, most: number): Promise<Uint8Array[]> {
  const { hands, anchor } = context;
  const bytes = queue.columns.get('cbytes') ?? 0;
  const count = countOf(queue);
  const indices = Array.from({ length: count }, (_, i) => i);
  const length = TYPE + bytes;
  if (length > ROOM) return longMessages(context, queue, count, most);
  return eachInside(hands, anchor.pid, indices, Math.max(1, Math.min(CALLS, Math.floor(ROOM / length))), (b, i) => {
    const buf = b.out(length);
    const n = copy(b, queue, buf, i, most);
    return (r) => r.bytes(buf, TYPE + check(r.value(n), `reading message queue ${queue.id}`));
  });
}

/** How many bytes a message may have now; one that was sent before may have more. */
const mostBytes = async ({ hands, anchor }: CheckpointContext): Promise<number> =>
  Number((await readInside(hands, anchor.pid, [MSGMAX]))[0]);
const MSGMAX = '/proc/sys/kernel/msgmax';

/** Adds the copying of a message. The kernel copies none that is longer than a message may be now: for this call, it may be. */
function copy(b: Batch, { id }: IpcEntry, buf: Buf, index: number, most: number): Ref {
  const length = buf.length - TYPE;
  const allow = (bytes: number): void => {
    if (length <= most) return;
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(MSGMAX), O.WRONLY | O.CLOEXEC, 0);
    b.call(SYS.write, fd, b.str(String(bytes)), String(bytes).length);
    b.call(SYS.close, fd);
  };
  allow(length);
  const n = b.call(SYS.msgrcv, id, buf, length, index, IPC_NOWAIT | MSG_COPY);
  allow(most);
  return n;
}

/** As {@link messagesOf}, of a queue that holds more than goes into one batch. */
async function longMessages(
  { hands, anchor }: CheckpointContext,
  queue: IpcEntry,
  count: number,
  most: number,
): Promise<Uint8Array[]> {
  const out: Uint8Array[] = [];
  for (let [next, room] = [0, SHORT]; next < count;) {
    const indices = Array.from({ length: Math.min(count - next, Math.floor(ROOM / room)) }, (_, i) => next + i);
    const found = await eachInside(hands, anchor.pid, indices, indices.length, (b, i) => {
      const buf = b.out(TYPE + room);
      const n = copy(b, queue, buf, i, most);
      return (r) => (r.value(n) < 0 ? undefined : r.bytes(buf, TYPE + r.value(n)));
    });
    const short = found.findIndex((m) => m === undefined);
    for (const message of found.slice(0, short < 0 ? found.length : short))
      if (message !== undefined) out.push(message);
    next = out.length;
    if (short < 0) continue;
    if (room >= ROOM) throw new DomainError('guest', `message ${next} of queue ${queue.id} cannot be read`);
    // One that is longer than was thought.
    room = Math.min(ROOM, room * 8);
  }
  return out;
}
const SHORT = 1024;

export async function restoreQueues(
  { hands, anchor, counters }: RestoreContext,
  queues: readonly Queue[],
): Promise<void> {
  await makeEach(hands, anchor.pid, 'msg_next_id', queues, (b, q, flags) => b.call(SYS.msgget, q.key, flags));
  const set = (q: Queue, qbytes: number): Uint8Array => {
    const view = ownership(q, MSQID_DS);
    view.setBigUint64(QBYTES_AT, BigInt(qbytes), true);
    return new Uint8Array(view.buffer);
  };
  const held = (q: Queue): number => q.messages.reduce((n, m) => n + m.length - TYPE, 0);
  const put = async (q: Queue, qbytes: number): Promise<void> => {
    await eachInside(hands, anchor.pid, [q], 1, (b) => {
      const n = b.call(SYS.msgctl, q.id, IPC_SET, b.bytes(set(q, qbytes)));
      return (r) => check(r.value(n), `giving message queue ${q.id} its owner`);
    });
  };
  const fill = async (q: Queue): Promise<void> => {
    // It may hold more than it may take now: the limit was lowered later.
    const room = Math.max(q.qbytes, held(q), q.messages.length);
    await put(q, room);
    for (const messages of portions(q.messages)) {
      await eachInside(hands, anchor.pid, messages, messages.length, (b, message) => {
        const n = b.call(SYS.msgsnd, q.id, b.bytes(message), message.length - TYPE, IPC_NOWAIT);
        return (r) => check(r.value(n), `filling message queue ${q.id}`);
      });
      counters.bytesCopied += messages.reduce((n, m) => n + m.length, 0);
    }
    if (room !== q.qbytes) await put(q, q.qbytes);
  };
  await together(queues.map(fill));
}

/** Messages in lists that go into a batch each. */
function portions(messages: readonly Uint8Array[]): Uint8Array[][] {
  const out: Uint8Array[][] = [];
  let room = 0;
  for (const message of messages) {
    const last = out.at(-1);
    if (last === undefined || last.length >= CALLS || message.length > room) {
      out.push([message]);
      room = ROOM - message.length;
    } else {
      last.push(message);
      room -= message.length;
    }
  }
  return out;
}
