import type { Batch, BatchResult } from '../../../../guest/hands/batch.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError, unsupported, unsupportedNow } from '../../../errors.js';
import { O } from '../../../linux/flags.js';
import { check, parseStat, readText } from '../../../linux/os.js';
import type { Maker } from '../../../restore/actors.js';
import { ANCHOR } from '../../../tree/tree.js';
import { together } from '../../../together.js';
import { addFilterLook, readFilter } from '../inet/filter.js';
import { addPoll, POLL } from '../inet/poll.js';
import { fileKind, type CheckpointContext, type LookContext, type OpenFile, type RestoreContext } from '../../kind.js';
import { inodeOf } from '../sock-diag.js';
import {
  addReadCommon,
  addReadOptions,
  addSetNumber,
  int,
  SO,
  SOL_SOCKET,
  type OptionName,
} from '../socket-options.js';
import { STATE_ESTABLISHED, unixSockets, type UnixSocketInfo } from './diag.js';
import { complete } from './fill.js';
import { Making } from './make.js';
import { lookAtFile } from './names.js';
import { addHasUrgent, peekAll, peekFirst, type Peeked } from './queue.js';
import { NO_NAME, type Message, type Sender, type UnixState } from './state.js';
import { MSG_PEEK_NOW, SOCK_DGRAM, SOCK_STREAM, SO_PEEK_OFF } from '../../../linux/socket-numbers.js';

const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const SO_PASSSEC = 34;
const SO_PASSPIDFD = 76;
const SO_PASSRIGHTS = 83;
const SHUT_BOTH = 3;
/** What SO_PEERCRED says of a socket that nobody has connected: no process, and no ids. */
const NO_ID = 0xffffffff;
const MOST_GROUPS = 64;
const OPTIONS: readonly OptionName[] = [
  [SOL_SOCKET, SO.PASSCRED, 4],
  [SOL_SOCKET, SO_PASSSEC, 4],
  [SOL_SOCKET, SO_PASSPIDFD, 4],
  [SOL_SOCKET, SO_PASSRIGHTS, 4],
];
/** What a look at what waits changes. */
const PEEKING: readonly OptionName[] = [
  [SOL_SOCKET, SO_PEEK_OFF, 4],
  [SOL_SOCKET, SO.PASSCRED, 4],
];

/** What was looked up once for all sockets of a look. */
interface Looked {
  readonly dump: Promise<Map<number, UnixSocketInfo>>;
  readonly queues: Map<OpenFile, readonly Peeked[]>;
  readonly resets: Map<OpenFile, boolean>;
  /** Something waits that was not looked at, as the domain runs: other ends may be among it. */
  unseen: boolean;
}
const looks = new WeakMap<LookContext, Looked>();
const restorations = new WeakMap<RestoreContext, Making>();

function lookedOf(context: LookContext): Looked {
  let looked = looks.get(context);
  if (looked === undefined) {
    looked = {
      dump: unixSockets(context.hands, context.anchor),
      queues: new Map(),
      resets: new Map(),
      unseen: false,
    };
    looks.set(context, looked);
  }
  return looked;
}

const isFrozen = (context: LookContext | CheckpointContext): context is CheckpointContext => 'leaders' in context;
const whereOf = (file: OpenFile): string =>
  file.users[0] === undefined
    ? 'a socket that waits in another'
    : `descriptor ${file.view.fd} of process ${file.users[0].pid}`;

/**
 * UNIX sockets: pairs and connections between processes of the domain with what is on its way, sockets that
 * listen, datagram sockets. Who has connected to one that waits to be accepted is told by nobody: who has the socket is
 * taken for them. What has been sent to such a connection is not shown by the kernel before it is accepted.
 */
export const unix = fileKind<UnixState>({
  name: 'unix',
  keeps:
    'pairs of every type, connections, also those that wait to be accepted, listening sockets, datagram sockets; what waits in them with descriptors, senders and their credentials; shut directions, names, relative ones too, owner and mode of their files, removed ones; whose they are (SO_PEERCRED), classic filters',
  refuses:
    'what was sent to a connection that is not accepted yet, an end outside the domain, a byte out of band, a file that was renamed, a path that is not UTF-8',
  matches: () => false,
  async carries(context, file) {
    const { hands } = context;
    const looked = lookedOf(context);
    const info = (await looked.dump).get(inodeOf(file));
    if (info === undefined || (info.type !== SOCK_DGRAM && info.state !== STATE_ESTABLISHED)) return [];
    const b = hands.batch();
    const peeking = addReadOptions(b, file.held, PEEKING);
    const more = addFurther(b, file.held);
    const r = await b.run();
    const [peekOffset = -1, passCred = 0] = numbersOf(peeking(r));
    const { reset } = more(r);
    if (!isFrozen(context)) {
      // With an offset of its own to look would be to move it, and an error is told only once.
      const seen = peekOffset >= 0 || reset ? undefined : await peekFirst(hands, file.held);
      looked.unseen ||= seen === undefined || seen.some;
      return seen?.fds ?? [];
    }
    refuse({ urgent: false, reset }, info, whereOf(file));
    looked.resets.set(file, reset);
    const options = { inode: info.inode, peekOffset, passCred, reset };
    const { messages, taken } = await peekAll(hands, file.held, info.type, info.received, options, whereOf(file));
    looked.queues.set(file, messages);
    return taken;
  },
  async inspect(context, file) {
    const { hands } = context;
    const info = await look(context, file);
    const b = hands.batch();
    const local = addName(b, SYS.getsockname, file.held);
    const maker = addMaker(b, file.held);
    const more = addFurther(b, file.held);
    const filtered = addFilterLook(b, file.held, whereOf(file));
    const r = await b.run();
    filtered(r);
    refuse(more(r), info, whereOf(file));
    await lookAtFile(hands, context.anchor, file.held, local(r), whereOf(file));
    const found = maker(r);
    if (found !== undefined && found !== 'too many groups') await refuseOutsider(context, found.pid, whereOf(file));
    if (found === 'too many groups')
      throw unsupported('a UNIX connection of somebody in too many groups', whereOf(file));
  },
  async checkpoint(context, file) {
    const { hands } = context;
    const where = whereOf(file);
    const info = await look(context, file);
    const b = hands.batch();
    const [local, peer] = [addName(b, SYS.getsockname, file.held), addName(b, SYS.getpeername, file.held)];
    const common = addReadCommon(b, file.held, OPTIONS);
    const peeked = addReadOptions(b, file.held, [[SOL_SOCKET, SO_PEEK_OFF, 4]]);
    const maker = addMaker(b, file.held);
    const more = addFurther(b, file.held);
    const filtered = addFilterLook(b, file.held, where);
    const statBuf = b.out(128);
    const stat = b.call(SYS.fstat, file.held, statBuf);
    const r = await b.run();
    check(r.value(stat), 'looking at a UNIX socket');
    refuse(more(r), info, where);
    const reset = lookedOf(context).resets.get(file) ?? false;
    const [peekOffset = -1] = numbersOf(peeked(r));
    const [filter, made, named, queue] = await together([
      readFilter(hands, file.held, filtered(r), where),
      makerInDomain(context, file, maker(r)),
      lookAtFile(hands, context.anchor, file.held, local(r), where),
      queueOf(context, file),
    ]);
    const { mode, uid, gid } = parseStat(r.view(statBuf));
    return {
      inode: info.inode,
      type: info.type,
      info,
      flags: file.view.info.flags & ~O.CLOEXEC,
      local: local(r),
      peer: peer(r),
      ...(named !== undefined && { file: named }),
      stat: { mode, uid, gid },
      ...(made !== undefined && { maker: made }),
      holder: holderOf(context, file),
      queue,
      ...common(r),
      peekOffset,
      reset,
      ...(filter !== undefined && { filter }),
    };
  },
  async prepare(context, states) {
    const making = new Making(context, states);
    restorations.set(context, making);
    context.undo.add('closing UNIX sockets', () => making.abandon());
    await making.run();
  },
  restore(context, s) {
    const making = restorations.get(context);
    if (making === undefined) return Promise.reject(new DomainError('state', 'UNIX sockets were not made'));
    context.counters.bytesCopied += s.queue.reduce((n, m) => n + m.data.length, 0);
    return Promise.resolve(making.handOver(s));
  },
  async complete(context) {
    const making = restorations.get(context);
    if (making === undefined) return;
    await complete(making);
    await making.close();
  },
});

const numbersOf = (options: readonly { readonly value: Uint8Array }[]): number[] =>
  options.map((o) => new DataView(o.value.buffer, o.value.byteOffset).getInt32(0, true));

/** What sock_diag tells of a socket; refuses what cannot be moved. While the domain runs, a moment later it may tell otherwise. */
async function look(context: LookContext, file: OpenFile): Promise<UnixSocketInfo> {
  const where = whereOf(file);
  const looked = lookedOf(context);
  const dump = await looked.dump;
  const info = dump.get(inodeOf(file));
  if (info === undefined) throw unsupportedNow('a UNIX socket of another network namespace', where);
  const known = new Set(context.files.map((f) => f.view.link));
  const isOutside = (inode: number): boolean => !looked.unseen && !known.has(`socket:[${inode}]`);
  const { peer = 0 } = info;
  if (peer !== 0 && isOutside(peer)) throw unsupportedNow('a UNIX socket whose other end is outside', where);
  for (const inode of info.waiting) {
    if (inode === 0) throw unsupportedNow('a UNIX connection whose client went before it was accepted', where);
    if (isOutside(inode)) throw unsupportedNow('a UNIX socket whose other end is outside', where);
    if ((dump.get(inode)?.sent ?? 0) > 0)
      throw unsupportedNow('data in a UNIX connection that waits to be accepted', where);
  }
  const isConnected = info.type !== SOCK_DGRAM && info.state === STATE_ESTABLISHED;
  // Whoever went has shut both directions; otherwise it waits to be accepted.
  if (isConnected && info.peer === 0 && (info.shutdown & SHUT_BOTH) !== SHUT_BOTH) {
    const accepts = context.files.some((f) => dump.get(inodeOf(f))?.waiting.includes(info.inode));
    if (!accepts && !looked.unseen) throw unsupportedNow('a UNIX connection that waits to be accepted outside', where);
  }
  return info;
}

/** Adds the question for a name (getsockname or getpeername); two bytes where there is none. */
function addName(b: Batch, nr: number, fd: number): (r: BatchResult) => Uint8Array {
  const bytes = b.out(128);
  const length = b.inout(int(128));
  const n = b.call(nr, fd, bytes, length);
  return (r) => {
    const size = r.value(n) < 0 ? 0 : r.view(length).getUint32(0, true);
    return size <= 2 ? NO_NAME : r.bytes(bytes, size);
  };
}

/** Adds the question who has connected a socket, or made it listen. Ids of processes are those that the asker sees. */
function addMaker(b: Batch, fd: number): (r: BatchResult) => Maker | 'too many groups' | undefined {
  const read = addReadOptions(b, fd, [
    [SOL_SOCKET, SO_PEERCRED, 12],
    [SOL_SOCKET, SO_PEERGROUPS, 4 * MOST_GROUPS],
  ]);
  return (r) => {
    const [cred, groups] = read(r);
    if (cred === undefined) return undefined;
    const [pid = 0, uid = 0, gid = 0] = words(cred.value);
    if (uid === NO_ID && gid === NO_ID) return undefined;
    return groups === undefined ? 'too many groups' : { pid, uid, gid, groups: words(groups.value) };
  };
}

const words = (bytes: Uint8Array): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length >> 2 }, (_, i) => view.getUint32(4 * i, true));
};

interface Further {
  readonly urgent: boolean;
  readonly reset: boolean;
}

/** Adds a look at what nothing else tells: an error, and a byte out of band. */
function addFurther(b: Batch, fd: number): (r: BatchResult) => Further {
  const urgent = addHasUrgent(b, fd);
  const poll = addPoll(b, fd);
  return (r) => ({ urgent: urgent(r), reset: (poll(r) & POLL.ERR) !== 0 });
}

function refuse(further: Further, info: UnixSocketInfo, where: string): Further {
  if (further.urgent) throw unsupportedNow('a byte out of band in a UNIX socket', where);
  // Where messages are read one by one, the error would be told first, and then be gone.
  if (further.reset && info.type !== SOCK_STREAM) throw unsupportedNow('a UNIX socket with an error', where);
  return further;
}

/** Ids in the domain of processes by their ids in the hands' namespace. */
function idsOf(context: LookContext): Map<number, number> {
  return new Map([[context.anchor.pid, ANCHOR], ...context.views.map((v): [number, number] => [v.hostPid, v.pid])]);
}

/** Who is neither in the domain nor gone cannot have made anything there. */
async function refuseOutsider(context: LookContext, hostPid: number, where: string): Promise<void> {
  if (idsOf(context).has(hostPid)) return;
  const status = await readText(context.hands, `/proc/${hostPid}/status`);
  if (status !== undefined && !/^NSpid:\t\d+\t/m.test(status))
    throw unsupported('a UNIX connection that was made outside of the domain', where);
}

/** As the domain sees it: who is gone has an id in it still, which only the domain's processes are told. */
async function makerInDomain(
  context: CheckpointContext,
  file: OpenFile,
  maker: Maker | 'too many groups' | undefined,
): Promise<Maker | undefined> {
  if (maker === undefined) return undefined;
  const where = whereOf(file);
  if (maker === 'too many groups') throw unsupported('a UNIX connection of somebody in too many groups', where);
  const pid = idsOf(context).get(maker.pid);
  if (pid !== undefined) return { ...maker, pid };
  const [user] = file.users;
  const leader = user === undefined ? undefined : context.leaders.get(user.pid);
  if (leader === undefined || user === undefined)
    throw unsupportedNow('a UNIX connection on its way whose maker is gone', where);
  const b = leader.batch();
  const told = addMaker(b, user.fd);
  const found = told(await b.run());
  if (found === undefined || found === 'too many groups' || found.pid === 0)
    throw unsupported('a UNIX connection that was made outside of the domain', where);
  return { ...maker, pid: found.pid };
}

/** Who has a socket, as who would connect it now. */
function holderOf(context: LookContext, file: OpenFile): Maker {
  const view = context.views.find((v) => v.pid === file.users[0]?.pid);
  if (view === undefined) return { pid: ANCHOR, uid: 0, gid: 0, groups: [] };
  const { uids, gids, groups } = view.status;
  return { pid: view.pid, uid: uids[1] ?? 0, gid: gids[1] ?? 0, groups };
}

/** What waits in a socket, with senders and open files as the domain knows them. */
async function queueOf(context: CheckpointContext, file: OpenFile): Promise<Message[]> {
  const peeked = lookedOf(context).queues.get(file) ?? [];
  const ids = idsOf(context);
  const unknown = peeked.filter((m) => m.sender !== undefined && !ids.has(m.sender.pid));
  if (unknown.length > 0) await nameTheGone(context, file, peeked, ids);
  return peeked.map(({ data, from, sender, fds }) => ({
    data,
    from,
    files: fds.map((fd) => {
      const id = context.inside.get(fd);
      // An empty message that was looked at before is not seen again, nor are its descriptors.
      if (id === undefined && data.length === 0)
        throw unsupportedNow('an empty message with descriptors', whereOf(file));
      if (id === undefined) throw new DomainError('state', 'a descriptor on its way is of no known file');
      return id;
    }),
    ...(sender !== undefined && { sender: { ...sender, pid: ids.get(sender.pid) ?? 0 } satisfies Sender }),
  }));
}

/** Adds the ids of senders that are gone to those that are known: a process of the domain that has the socket is told. */
async function nameTheGone(
  context: CheckpointContext,
  file: OpenFile,
  peeked: readonly Peeked[],
  ids: Map<number, number>,
): Promise<void> {
  const [user] = file.users;
  const leader = user === undefined ? undefined : context.leaders.get(user.pid);
  if (leader === undefined || user === undefined)
    throw unsupportedNow('a message from somebody who is gone, in a UNIX socket on its way', whereOf(file));
  const { hands } = context;
  const n = hands.batch();
  const before = addReadOptions(n, file.held, PEEKING);
  const [peekOffset = -1, passCred = 0] = numbersOf(before(await n.run()));
  let at = 0;
  try {
    for (const { data, sender } of peeked) {
      if (sender !== undefined && !ids.has(sender.pid)) {
        const pid = await senderAt(leader.batch(), user.fd, at);
        ids.set(sender.pid, pid);
      }
      at += data.length;
    }
  } finally {
    const b = hands.batch();
    addSetNumber(b, file.held, SOL_SOCKET, SO.PASSCRED, passCred);
    addSetNumber(b, file.held, SOL_SOCKET, SO_PEEK_OFF, peekOffset);
    await b.run();
  }
}

/** The sender's id as the process that makes the calls sees it: room for credentials only, so no descriptors come. */
async function senderAt(b: Batch, fd: number, offset: number): Promise<number> {
  addSetNumber(b, fd, SOL_SOCKET, SO_PEEK_OFF, offset);
  addSetNumber(b, fd, SOL_SOCKET, SO.PASSCRED, 1);
  const control = b.out(32);
  const header = new Uint8Array(56);
  const view = new DataView(header.buffer);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(40, 32n, true);
  const buf = b.inout(header);
  b.pointer(buf, 16, b.iovec(b.out(8)));
  b.pointer(buf, 32, control);
  const n = b.call(SYS.recvmsg, fd, buf, MSG_PEEK_NOW);
  const r = await b.run();
  check(r.value(n), 'looking for the sender of a message');
  return r.view(control).getInt32(16, true);
}
