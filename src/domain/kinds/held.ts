import type { Hands } from '../../guest/hands/hands.js';
import { readText } from '../linux/os.js';
import { parseFdInfo, type FdInfo } from '../proc/fdinfo.js';

/** What /proc says now about an open file the hands hold. */
export async function heldInfo(hands: Hands, held: number): Promise<FdInfo> {
  return parseFdInfo((await readText(hands, `/proc/self/fdinfo/${held}`)) ?? '');
}
