import { once } from '../../../once.js';
import type { LookContext, OpenFile } from '../../kind.js';
import { inodeOf } from '../sock-diag.js';
import { inetSockets } from './diag.js';
import { IPPROTO_UDP } from '../../../linux/socket-numbers.js';

const ALL_STATES = 0xffff_ffff;

const byInode = once(async ({ hands, anchor }: LookContext) => {
  const all = await inetSockets(hands, anchor, IPPROTO_UDP, ALL_STATES);
  return new Map(all.map((s) => [s.inode, s]));
});

/** Which directions of a UDP socket were shut (bit 0: receives no more; bit 1: sends no more): nothing else tells. */
export async function shutdownOf(context: LookContext, file: OpenFile): Promise<number> {
  return (await byInode(context)).get(inodeOf(file))?.shutdown ?? 0;
}
