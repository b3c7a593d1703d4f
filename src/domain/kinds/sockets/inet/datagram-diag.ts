import type { CheckpointContext } from '../../kind.js';
import { inetSockets, type DiagSocket } from './diag.js';

const ALL_STATES = 0xffff_ffff;
const looks = new WeakMap<CheckpointContext, Map<number, Promise<DiagSocket[]>>>();

/** Which directions of a socket were shut: nothing else tells. Asked once for all sockets of a protocol. */
export async function shutdownOf(context: CheckpointContext, protocol: number, inode: number): Promise<number> {
  const { hands, anchor } = context;
  const known = looks.get(context) ?? new Map<number, Promise<DiagSocket[]>>();
  looks.set(context, known);
  let look = known.get(protocol);
  if (look === undefined) {
    look = inetSockets(hands, anchor, protocol, ALL_STATES);
    known.set(protocol, look);
  }
  return (await look).find((s) => s.inode === inode)?.shutdown ?? 0;
}
