import { unsupportedNow } from '../../../errors.js';
import { parseIpv4 } from '../../../tree/netlink.js';
import { domainKind, type LookContext } from '../../kind.js';
import { inetSockets, type DiagSocket } from './diag.js';
import { STATE } from './tcp-repair.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** States in which our FIN, and what comes before it, has yet to be acknowledged. */
const ENDING = (1 << STATE.FIN_WAIT1) | (1 << STATE.CLOSING) | (1 << STATE.LAST_ACK);
/**
 * And that in which the other side has yet to end its own direction. A kernel that knows nothing of the connection would
 * answer that with a reset, at which the other side may drop what it has not read yet.
 */
export const UNFINISHED = ENDING | (1 << STATE.FIN_WAIT2);

/**
 * Connections that a program has closed, and that its kernel has yet to bring to their end: no process has them, and
 * nothing leads to what they have still to send. To leave them behind would cut what the program wrote, unless what is
 * said in them goes on reaching the kernel that has them: it brings them to their end, while the domain is elsewhere.
 * Where the network cannot do that most are over in a moment, which they get.
 */
export const orphans = domainKind<undefined>({
  name: 'closed connections',
  keeps:
    'TCP connections under the domain’s own address that were closed before all that was written has arrived, or before the other side has ended its own direction: the kernel that has them serves them to their end',
  refuses:
    'a TCP connection that was closed before all that was written has arrived, within the domain, of IPv6 or without a network card; waited for, for a moment',
  async describe(context) {
    refuse(context, await closed(context));
  },
  async checkpoint(context) {
    const found = await closed(context);
    if (found.length === 0) return undefined;
    refuse(context, found);
    const left = found.filter((socket) => canStay(context, socket));
    if (left.length > 0) context.anchor.leave?.(left.map(({ local, peer }) => ({ local, peer })));
    return undefined;
  },
  restore: () => Promise.resolve(),
});

async function closed({ hands, anchor }: LookContext): Promise<DiagSocket[]> {
  return (await inetSockets(hands, anchor, IPPROTO_TCP, UNFINISHED)).filter((s) => s.inode === 0);
}

/** Whether what is said in a connection can go on reaching the kernel that has it. */
function canStay({ anchor }: LookContext, { local, peer }: DiagSocket): boolean {
  const { network } = anchor.spec;
  if (anchor.leave === undefined || network === undefined) return false;
  const own = String(parseIpv4(network.address.split('/')[0]));
  return String(local.address) === own && String(peer.address) !== own && peer.address.length === 4;
}

/** Throws `unsupported` for one with something to send that cannot stay behind. */
function refuse(context: LookContext, found: readonly DiagSocket[]): void {
  const orphan = found.find((socket) => ((1 << socket.state) & ENDING) !== 0 && !canStay(context, socket));
  if (orphan === undefined) return;
  const peer = `${orphan.peer.address.length === 4 ? orphan.peer.address.join('.') : 'an IPv6 address'}, port ${orphan.peer.port}`;
  throw unsupportedNow('a TCP connection that was closed before all has arrived', `the domain (to ${peer})`);
}
