import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { whileOpen } from '../../linux/making.js';
import { check, readLinks } from '../../linux/os.js';
import { findSpaces } from '../../spaces/find.js';
import { sortOf } from '../../spaces/space.js';
import type { CheckpointContext, FileKind, LookContext, OpenFile } from '../kind.js';
import { socketFamily } from './socket-options.js';
import { inetKind, inetKinds } from './inet/inet-kinds.js';
import { netlinkSocket } from './other/netlink-socket.js';
import { otherFamily } from './other/other-families.js';
import { packetSocket } from './other/packet-socket.js';
import { unix } from './unix/unix.js';
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from '../../linux/socket-numbers.js';

/** Kinds of sockets: what one of them has saved, it restores (registry.ts lists them too). */
export const socketKinds: readonly FileKind[] = [...inetKinds, unix, netlinkSocket, packetSocket];

const kept = new Map<number, FileKind>([
  [AF_UNIX, unix],
  [AF_NETLINK, netlinkSocket],
  [AF_PACKET, packetSocket],
]);

/** Which kind takes care of a socket: all look alike in /proc, the socket itself says. */
async function kindOfSocket(context: LookContext | CheckpointContext, file: OpenFile): Promise<FileKind> {
  const family = await socketFamily(context.hands, file);
  const { domain } = family;
  if (domain === AF_INET || domain === AF_INET6) return inetKind(family, `descriptor ${file.view.fd}`);
  return kept.get(domain) ?? otherFamily(domain);
}

/** `ioctl` that answers a descriptor of the network namespace that a socket is in. */
const SIOCGSKNS = 0x894c;

/** Refuses a socket that is in another network namespace than the domain's own, where the domain has one. */
async function refuseElsewhere(context: LookContext, { held, view }: OpenFile): Promise<void> {
  if (!findSpaces(context).some((f) => sortOf(f.link) === 'net')) return;
  const { hands, anchor } = context;
  const b = hands.batch();
  const ns = b.call(SYS.ioctl, held, SIOCGSKNS, 0);
  const fd = check((await b.run()).value(ns), 'asking for the network namespace of a socket');
  const [link] = await whileOpen(hands, fd, () => readLinks(hands, [`/proc/self/fd/${fd}`]));
  if (link !== anchor.namespaces['net'])
    throw unsupported('a socket in a network namespace of its own', `descriptor ${view.fd}`);
}

/** Sockets of every sort, as long as nobody has asked of which. */
export const socket: FileKind = {
  name: 'socket',
  keeps: 'what the kind of its family keeps',
  independent: true,
  matches: (view) => view.link.startsWith('socket:['),
  async inspect(context, file) {
    await refuseElsewhere(context, file);
    await (await kindOfSocket(context, file)).inspect?.(context, file);
  },
  carries: async (context, file) => (await (await kindOfSocket(context, file)).carries?.(context, file)) ?? [],
  async checkpoint(context, file) {
    await refuseElsewhere(context, file);
    return (await kindOfSocket(context, file)).checkpoint(context, file);
  },
  restore: () => Promise.reject(new Error('a socket is restored by its own kind')),
};
