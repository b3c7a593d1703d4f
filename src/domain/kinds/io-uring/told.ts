import type { Hands } from '../../../guest/hands/hands.js';
import { readTexts } from '../../linux/os.js';
import { parseFdInfo, type FdInfo } from '../../proc/fdinfo.js';
import { isTold, ringInfo, untold, type RingInfo } from './ring.js';

/** Looks in one batch, and batches: some milliseconds, in which a program makes many calls. */
const LOOKS = 8;
const MOST_BATCHES = 6;

/**
 * What `/proc` says of a ring. It takes the ring's lock for that if it is free, else it says nothing: then it is asked
 * again, by a descriptor of the hands. Throws a passing `unsupported` if the ring is never free.
 */
export async function toldOf(hands: Hands, fd: number, info: FdInfo, where: string): Promise<RingInfo> {
  for (let i = 0, now = info; i <= MOST_BATCHES; i++) {
    if (isTold(now)) return ringInfo(now);
    const paths = Array.from({ length: LOOKS }, () => `/proc/self/fdinfo/${fd}`);
    const looks = (await readTexts(hands, paths, 1)).map((text) => parseFdInfo(text ?? ''));
    now = looks.find(isTold) ?? now;
  }
  throw untold(where);
}
