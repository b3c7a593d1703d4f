import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { F, O } from '../../../linux/flags.js';
import { check } from '../../../linux/os.js';
import type { CheckpointContext, OpenFile } from '../../kind.js';
import { int } from '../socket-options.js';
import { guard, unguard } from './guard.js';
import type { InetSocket } from './inet-socket.js';
import { enqueue } from './handshake.js';
import { readConnection, STATE, TCP, tcpInfo } from './tcp-repair.js';
import { inAgreement, type Connected } from './tcp-pair.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** More connections than that do not wait in one batch. */
const AT_ONCE = 64;

/**
 * Reads the connections that wait to be accepted from a frozen domain's listening socket: they have no descriptor until
 * somebody accepts them, so the hands do. They stand under repair from then on. If the domain goes on here, they are put
 * back.
 */
export async function readQueue(
  context: CheckpointContext,
  file: OpenFile,
  listener: InetSocket,
  count: number,
): Promise<Connected[]> {
  const { hands, undo, anchor } = context;
  const waiting: Connected[] = [];
  const accepted: number[] = [];
  undo.add('putting connections back that wait to be accepted', async () => {
    await disconnect(hands, accepted);
    // First, as connections have the guard of the socket that they came to.
    await unguard(hands, file.held, listener);
    // What cannot be put back is refused to the other side when it next says something.
    await enqueue(hands, anchor, file.held, waiting).catch(() => undefined);
  });
  // Whoever found no room till now shall not come in meanwhile.
  await guard(hands, file.held, listener);
  for (let left = count; left > 0; left -= AT_ONCE)
    await accept(hands, file, Math.min(AT_ONCE, left), (fd) => {
      context.hold(fd);
      accepted.push(fd);
    });
  for (const fd of accepted) {
    const ends = await namesOf(hands, fd);
    // One that the other side has given up is nobody's any more.
    if (ends === undefined || (await tcpInfo(hands, fd)).state === STATE.CLOSE) continue;
    const end: Connected = { ...ends, connection: await readConnection(hands, fd) };
    waiting.push(end);
    await inAgreement(context, fd, end);
  }
  return waiting;
}

/** Under repair that says nothing to the other side (connect(2), AF_UNSPEC). */
async function disconnect(hands: Hands, fds: readonly number[]): Promise<void> {
  const b = hands.batch();
  const nowhere = b.bytes(new Uint8Array(16));
  for (const fd of fds) b.call(SYS.connect, fd, nowhere, 16);
  await b.run();
}

/** The hands never wait: the queue may have become shorter. */
async function accept(hands: Hands, file: OpenFile, count: number, note: (fd: number) => void): Promise<void> {
  const { held } = file;
  const flags = file.view.info.flags & ~O.CLOEXEC;
  const b = hands.batch();
  b.call(SYS.fcntl, held, F.SETFL, flags | O.NONBLOCK);
  const fds = Array.from({ length: count }, () => {
    const fd = b.call(SYS.accept4, held, 0, 0, O.CLOEXEC | O.NONBLOCK);
    b.call(SYS.setsockopt, fd, IPPROTO_TCP, TCP.REPAIR, b.bytes(int(1)), 4);
    return fd;
  });
  b.call(SYS.fcntl, held, F.SETFL, flags);
  const r = await b.run();
  for (const fd of fds) if (r.value(fd) >= 0) note(r.value(fd));
}

async function namesOf(hands: Hands, fd: number): Promise<{ local: Uint8Array; peer: Uint8Array } | undefined> {
  const b = hands.batch();
  const [local, peer] = [SYS.getsockname, SYS.getpeername].map((nr) => {
    const bytes = b.out(128);
    const length = b.inout(int(128));
    return { bytes, length, n: b.call(nr, fd, bytes, length) };
  });
  const r = await b.run();
  if (local === undefined || peer === undefined || r.value(peer.n) < 0) return undefined;
  check(r.value(local.n), 'the name of a connection');
  const bytes = (x: typeof local): Uint8Array => r.bytes(x.bytes, Math.min(128, r.view(x.length).getUint32(0, true)));
  return { local: bytes(local), peer: bytes(peer) };
}
