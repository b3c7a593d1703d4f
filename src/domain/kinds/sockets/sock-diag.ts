import type { Hands } from '../../../guest/hands/hands.js';
import { NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY } from '../../linux/socket-numbers.js';
import type { Anchor } from '../../tree/anchor.js';
import type { OpenFile } from '../kind.js';
import { dumpAll, type Dump, type Entry } from '../network/rtnetlink.js';

/**
 * Has the kernel tell of sockets of the domain's network namespace (sock_diag(7)). `requests`: of the families, such as
 * `struct inet_diag_req_v2`; `size`: of what an answer has before its attributes. Throws `guest`.
 */
export async function dumpSockets(
  hands: Hands,
  anchor: Anchor,
  requests: readonly Uint8Array[],
  size: number,
): Promise<Entry[]> {
  const found = await dumpAll(
    hands,
    anchor,
    requests.map((header) => dumpOf(header, size)),
  );
  return found.flat();
}

/** What to ask sock_diag(7) for; as for {@link dumpSockets}. */
export const dumpOf = (header: Uint8Array, size: number): Dump => ({
  protocol: NETLINK_SOCK_DIAG,
  type: SOCK_DIAG_BY_FAMILY,
  header,
  size,
  needed: true,
});

/** The number of a socket's inode, by its name in /proc: what the kernel tells of sockets has it. */
export const inodeOf = (file: OpenFile): number => Number(/^socket:\[(\d+)\]$/.exec(file.view.link)?.[1] ?? -1);
