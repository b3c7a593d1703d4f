import type { Hands } from '../../../guest/hands/hands.js';
import { readTexts } from '../../linux/os.js';
import { parseFdInfo, type FdInfo } from '../../proc/fdinfo.js';
import { isTold, ringInfo, untold, type RingInfo } from './ring.js';

/** Looks in one batch, and batches: some milliseconds, in which a program makes many calls. */
const LOOKS = 8;
const MOST_BATCHES = 6;

/**
 * What `/proc` says of a ring. It takes the ring's lock for that if it is free, else it says nothing: then it is asked
 * again, by a descriptor of the hands; also while it is not as it `shall` be. Throws a passing `unsupported` if the ring is never free.
 */
export async function toldOf(
  hands: Hands,
  fd: number,
  info: FdInfo,
  where: string,
  shall: (ring: RingInfo) => boolean = () => true,
): Promise<RingInfo> {
  const isGood = (x: FdInfo): boolean => isTold(x) && shall(ringInfo(x));
  let now = info;
  for (let i = 0; !isGood(now) && i < MOST_BATCHES; i++) {
    const paths = Array.from({ length: LOOKS }, () => `/proc/self/fdinfo/${fd}`);
    const looks = (await readTexts(hands, paths, 1)).map((text) => parseFdInfo(text ?? ''));
    now = looks.find(isGood) ?? looks.find(isTold) ?? now;
  }
  if (!isTold(now)) throw untold(where);
  return ringInfo(now);
}
