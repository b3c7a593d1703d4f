import type { Hands } from '../../../../guest/hands/hands.js';
import type { Anchor } from '../../../tree/anchor.js';
import { withNetSysctl } from './net-sysctl.js';

const BUFFERS = 'ipv4/tcp_rmem';

/** What makes a kernel choose a window scale for a connection that it takes: not more than that is to be told by it. */
export const clampFor = (scale: number): number => 0xffff << scale;

/** As good as no clamp, for a socket that listens and cannot go back to none. */
export const NO_CLAMP = 0x7fff_ffff;

/**
 * Work during which the kernel may choose a window scale as large as `scale` for connections of a network namespace: it
 * does so for the sake of the largest buffer that it lets them have (tcp(7), tcp_rmem).
 */
export function allowingScale<T>(hands: Hands, anchor: Anchor, scale: number, work: () => Promise<T>): Promise<T> {
  const wider = (before: string): string | undefined => {
    const [least = '', usual = '', most = ''] = before.trim().split(/\s+/);
    return Number(most) >= clampFor(scale) ? undefined : `${least} ${usual} ${clampFor(scale)}`;
  };
  return withNetSysctl(hands, anchor, BUFFERS, wider, work);
}
