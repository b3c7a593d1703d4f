import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { F, O } from '../../../linux/flags.js';
import { unsupportedNow } from '../../../errors.js';
import { check } from '../../../linux/os.js';
import { once } from '../../../once.js';
import type { CheckpointContext, OpenFile } from '../../kind.js';
import { inodeOf } from '../sock-diag.js';
import { socketAddress } from './address.js';
import { inetSockets } from './diag.js';
import { STATE } from './tcp-repair.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

const connecting = once(({ hands, anchor }: CheckpointContext) =>
  inetSockets(hands, anchor, IPPROTO_TCP, 1 << STATE.SYN_SENT),
);

/** Where a connection is being made to: getpeername(2) does not tell it yet. */
export async function peerOf(context: CheckpointContext, file: OpenFile, local: Uint8Array): Promise<Uint8Array> {
  const inode = inodeOf(file);
  const found = (await connecting(context)).find((s) => s.inode === inode);
  if (found === undefined) throw unsupportedNow('a TCP connection that is being made', `descriptor ${file.view.fd}`);
  const name = socketAddress(found.peer);
  // An IPv6 socket names an IPv4 address in its own way; what is of one device keeps its scope.
  if (local.length < 24) return name;
  const out = local.slice();
  out.set([name[2] ?? 0, name[3] ?? 0], 2);
  if (found.peer.address.length === 16) out.set(found.peer.address, 8);
  else out.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...found.peer.address], 8);
  return out;
}

/** Begins to make the connection anew, from the same port. */
export async function connectAgain(hands: Hands, fd: number, peer: Uint8Array, flags: number): Promise<void> {
  const b = hands.batch();
  b.call(SYS.fcntl, fd, F.SETFL, flags | O.NONBLOCK);
  // A failure at once, such as that there is no way, the program is told when it asks.
  b.call(SYS.connect, fd, b.bytes(peer), peer.length);
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, flags);
  const r = await b.run();
  check(r.value(flagged), 'setting the flags of a TCP socket');
}
