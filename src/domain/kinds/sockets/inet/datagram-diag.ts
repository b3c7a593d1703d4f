import type { CheckpointContext, OpenFile } from '../../kind.js';
import { inetSockets, type DiagSocket } from './diag.js';
import { AF_INET, AF_INET6 } from '../../../linux/socket-numbers.js';

const ALL_STATES = 0xffff_ffff;
const looks = new WeakMap<CheckpointContext, Map<number, Promise<DiagSocket[]>>>();

/** The number of a socket's inode, by its name in /proc. */
export const inodeOf = (file: OpenFile): number => Number(/^socket:\[(\d+)\]$/.exec(file.view.link)?.[1]);

/** Which directions of a socket were shut: nothing else tells. Asked once for all sockets of a protocol. */
export async function shutdownOf(context: CheckpointContext, protocol: number, inode: number): Promise<number> {
  const { hands, anchor } = context;
  const known = looks.get(context) ?? new Map<number, Promise<DiagSocket[]>>();
  looks.set(context, known);
  let look = known.get(protocol);
  if (look === undefined) {
    look = inetSockets(hands, anchor.netns, protocol, ALL_STATES, [AF_INET, AF_INET6]);
    known.set(protocol, look);
  }
  return (await look).find((s) => s.inode === inode)?.shutdown ?? 0;
}
