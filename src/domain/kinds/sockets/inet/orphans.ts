import { unsupportedNow } from '../../../errors.js';
import { parseIpv4 } from '../../../tree/netlink.js';
import { domainKind, type LookContext } from '../../kind.js';
import { inetSockets, type DiagSocket } from './diag.js';
import { STATE } from './tcp-repair.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** States in which our FIN, and what comes before it, has yet to be acknowledged. */
export const ENDING = (1 << STATE.FIN_WAIT1) | (1 << STATE.CLOSING) | (1 << STATE.LAST_ACK);

/**
 * Connections that a program has closed, and that its kernel has yet to bring to their end: no process has them, and
 * nothing leads to what they have still to send. To leave them behind would cut what the program wrote, unless what is
 * said in them goes on reaching the kernel that has them: it brings them to their end, while the domain is elsewhere.
 * Where the network cannot do that most are over in a moment, which they get.
 */
export const orphans = domainKind<undefined>({
  name: 'closed connections',
  keeps:
    'TCP connections under the domain’s own address that were closed before all that was written has arrived: the kernel that has them serves them to their end',
  refuses:
    'a TCP connection that was closed before all that was written has arrived, within the domain, of IPv6 or without a network card; waited for, for a moment',
  async describe(context) {
    refuse(context, await closed(context));
  },
  async checkpoint(context) {
    const found = await closed(context);
    if (found.length === 0) return undefined;
    refuse(context, found);
    context.anchor.leave?.(found.map(({ local, peer }) => ({ local, peer })));
    return undefined;
  },
  restore: () => Promise.resolve(),
});

async function closed({ hands, anchor }: LookContext): Promise<DiagSocket[]> {
  return (await inetSockets(hands, anchor, IPPROTO_TCP, ENDING)).filter((s) => s.inode === 0);
}

/** Throws `unsupported` for one that cannot stay behind. */
function refuse({ anchor }: LookContext, found: readonly DiagSocket[]): void {
  const { address = '' } = anchor.spec.network ?? {};
  const own = anchor.leave === undefined || address === '' ? '' : String(parseIpv4(address.split('/')[0]));
  const orphan = found.find(({ local, peer }) => {
    const there = String(peer.address);
    return String(local.address) !== own || there === own || peer.address.length !== 4;
  });
  if (orphan === undefined) return;
  const peer = `${orphan.peer.address.length === 4 ? orphan.peer.address.join('.') : 'an IPv6 address'}, port ${orphan.peer.port}`;
  throw unsupportedNow('a TCP connection that was closed before all has arrived', `the domain (to ${peer})`);
}
