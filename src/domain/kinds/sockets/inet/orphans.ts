import { unsupportedNow } from '../../../errors.js';
import { domainKind, type LookContext } from '../../kind.js';
import { inetSockets } from './diag.js';
import { STATE } from './tcp-repair.js';
import { IPPROTO_TCP } from '../../../linux/socket-numbers.js';

/** States in which our FIN, and what comes before it, has yet to be acknowledged. */
const ENDING = (1 << STATE.FIN_WAIT1) | (1 << STATE.CLOSING) | (1 << STATE.LAST_ACK);

/**
 * Connections that a program has closed, and that its kernel has yet to bring to their end: no process has them, and
 * nothing leads to what they have still to send. To leave them behind would cut what the program wrote. Most are over in a
 * moment, which they get.
 */
export const orphans = domainKind<undefined>({
  name: 'closed connections',
  keeps: 'nothing, once all that was written has arrived',
  refuses: 'a TCP connection that was closed before all that was written has arrived; waited for, for a moment',
  describe: refuseOrphans,
  async checkpoint(context) {
    await refuseOrphans(context);
    return undefined;
  },
  restore: () => Promise.resolve(),
});

async function refuseOrphans({ hands, anchor }: LookContext): Promise<void> {
  const ending = await inetSockets(hands, anchor, IPPROTO_TCP, ENDING);
  const orphan = ending.find((s) => s.inode === 0);
  if (orphan === undefined) return;
  const peer = `${orphan.peer.address.length === 4 ? orphan.peer.address.join('.') : 'an IPv6 address'}, port ${orphan.peer.port}`;
  throw unsupportedNow('a TCP connection that was closed before all has arrived', `the domain (to ${peer})`);
}
