import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported } from '../../../errors.js';
import { F } from '../../../linux/flags.js';
import { check, isFound } from '../../../linux/os.js';
import { together } from '../../../together.js';
import { setFilter } from '../inet/filter.js';
import { addSetCommon, addSetNumber, SOL_SOCKET } from '../socket-options.js';
import type { Making } from './make.js';
import { sendAll, type Outgoing } from './queue.js';
import { isNamed, key, NO_NAME, type Message, type UnixState } from './state.js';
import { MSG_DONTWAIT, SOCK_DGRAM, SO_PEEK_OFF } from '../../../linux/socket-numbers.js';

const AF_UNSPEC = new Uint8Array(16);

/** What comes when all open files are there: contents of queues, connections of datagram sockets, and last the options. */
export async function complete(making: Making): Promise<void> {
  const { states } = making;
  await connectDatagrams(making, (s) => !isCrowded(states, s));
  await together(states.map((s) => (s.type === SOCK_DGRAM ? fillDatagrams(making, s) : fillConnection(making, s))));
  await together(states.map((s) => finish(making, s)));
}

/** Others than its peer have sent to it: who is connected hears nobody else, so they come before it is. */
function isCrowded(states: readonly UnixState[], s: UnixState): boolean {
  const peer = states.find((t) => t.inode === s.info.peer);
  return s.queue.some((m) => key(m.from) !== key(peer?.local ?? NO_NAME));
}

/** As a message leaves the hands: descriptors and processes are as they see them. */
async function outgoing({ context }: Making, m: Message): Promise<Outgoing> {
  const { sender } = m;
  const fds = m.files.map((id) => context.fileFds.get(id) ?? -1);
  if (sender === undefined) return { data: m.data, fds };
  // Who is outside of the domain has no id in it, nor have the hands.
  const pid =
    sender.pid === 0 ? await context.hands.syscall(SYS.getpid) : (await context.actors.get(sender.pid)).tracee.tid;
  return { data: m.data, fds, sender: { ...sender, pid } };
}

async function fillConnection(making: Making, s: UnixState): Promise<void> {
  if (s.queue.length === 0) return;
  const from = making.made.get(s.info.peer ?? 0) ?? making.spare.get(s.inode);
  if (from === undefined) throw unsupported('a UNIX socket that got something from nobody', `socket ${s.inode}`);
  const messages = await together(s.queue.map((m) => outgoing(making, m)));
  await sendAll(making.context.hands, from, messages);
}

async function fillDatagrams(making: Making, s: UnixState): Promise<void> {
  const { hands } = making.context;
  // Of who is connected to it more may wait than of all others, and they are heard no more then.
  const own = making.states.find((t) => t.inode === s.info.peer)?.local ?? NO_NAME;
  const crowd = isCrowded(making.states, s) ? s.queue.findLastIndex((m) => key(m.from) !== key(own)) : -1;
  for (let next = 0, end = 0; next < s.queue.length; next = end) {
    const { from } = s.queue[next];
    for (end = next; end < s.queue.length && key(s.queue[end].from) === key(from); end++);
    const messages = await together(s.queue.slice(next, end).map((m) => outgoing(making, m)));
    const { fd, connected } = await senderTo(making, s, from);
    const to = connected ? undefined : await making.reach(s);
    await sendAll(
      hands,
      fd,
      messages.map((m) => ({ ...m, ...(to !== undefined && { to }) })),
    );
    if (next <= crowd && crowd < end) await connectDatagrams(making, (t) => t === s);
  }
}

/** A socket that sends to `s` with the name `from`: the one that did, or one that is there for the moment. */
async function senderTo(
  making: Making,
  s: UnixState,
  from: Uint8Array,
): Promise<{ readonly fd: number; readonly connected: boolean }> {
  const { states } = making;
  const alike = states.filter((t) => t.type === SOCK_DGRAM && key(t.local) === key(from));
  const linked = alike.filter((t) => t.info.peer === s.inode).sort((a, b) => b.info.sent - a.info.sent)[0];
  const sender = linked ?? (isNamed(from) ? alike[0] : undefined);
  if (sender !== undefined) return { fd: making.fdOf(sender), connected: sender === linked && !isNamed(s.local) };
  const spare = making.spare.get(s.inode);
  if (spare !== undefined) return { fd: spare, connected: true };
  if (!isNamed(s.local)) throw unsupported('a UNIX socket that got something from nobody', `socket ${s.inode}`);
  return { fd: await making.temporary(SOCK_DGRAM, from), connected: false };
}

/** Connects datagram sockets to those that they were connected to, if they were not made so. */
async function connectDatagrams(making: Making, which: (s: UnixState) => boolean): Promise<void> {
  const { states, context } = making;
  const left = new Set(states.filter((s) => s.type === SOCK_DGRAM && which(s) && !making.isPaired(s)));
  while (left.size > 0) {
    // Nobody can connect any more to who is connected elsewhere: it comes after those who are connected to it.
    const all = [...left];
    const free = all.filter((s) => !all.some((t) => t.info.peer === s.inode && s.info.peer !== t.inode && t !== s));
    for (const s of free.length > 0 ? free : all) {
      left.delete(s);
      const to = await targetOf(making, s);
      if (to === undefined) continue;
      const b = context.hands.batch();
      const connected = b.call(SYS.connect, making.fdOf(s), b.bytes(to), to.length);
      check((await b.run()).value(connected), 'connecting a UNIX socket');
    }
  }
}

async function targetOf(making: Making, s: UnixState): Promise<Uint8Array | undefined> {
  if (s.info.peer === undefined) return making.isHalfPaired(s) ? AF_UNSPEC : undefined;
  const target = making.states.find((t) => t.inode === s.info.peer);
  if (target !== undefined) return making.reach(target);
  // Its peer is gone: one with that name is there until this is done.
  return making.reachThrough(s.peer, await making.temporary(SOCK_DGRAM, s.peer));
}

/** The last of each: options, buffers, the directions that were shut, flags, and what its file looks like. */
async function finish(making: Making, s: UnixState): Promise<void> {
  const { hands } = making.context;
  const fd = making.fdOf(s);
  const spare = making.spare.get(s.inode);
  const b = hands.batch();
  const common = addSetCommon(b, fd, s);
  const asked = s.peekOffset < 0 ? [] : [addSetNumber(b, fd, SOL_SOCKET, SO_PEEK_OFF, s.peekOffset)];
  // Where the other end is gone its closing shuts both; closed with something unread, it leaves an error.
  if (spare !== undefined && s.reset) b.call(SYS.sendto, fd, b.str('x'), 1, MSG_DONTWAIT, 0, 0);
  if (spare === undefined || s.type === SOCK_DGRAM)
    for (const how of [0, 1]) if ((s.info.shutdown & (1 << how)) !== 0) asked.push(b.call(SYS.shutdown, fd, how));
  asked.push(b.call(SYS.fchown, fd, s.stat.uid, s.stat.gid), b.call(SYS.fchmod, fd, s.stat.mode & 0o7777));
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, s.flags);
  const [r] = await together([b.run(), making.naming.settle(s)]);
  common(r);
  for (const ref of asked) isFound(r.value(ref), 'setting what a UNIX socket looks like');
  check(r.value(flagged), 'setting the flags of a UNIX socket');
  if (s.filter !== undefined) await setFilter(hands, fd, s.filter);
}
