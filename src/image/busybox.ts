/** Debian's busybox-static, the shell and the tools of the guest. */
import { indexOfBytes, toBytes, toText } from './bytes.js';
import { ImageError } from './errors.js';

/** The table of applet names is sorted, and these two always come first. */
const FIRST = toBytes('[\0[[\0');

/**
 * The names under which this busybox answers, read from the table in the program itself: NUL-terminated
 * strings, ended by an empty one. (The other way would be to run it, and it is the guest's.)
 *
 * @throws ImageError `not-found` when there is no such table.
 */
export function appletNames(program: Uint8Array): string[] {
  const begin = indexOfBytes(program, FIRST);
  const end = begin < 0 ? -1 : indexOfBytes(program, Uint8Array.of(0, 0), begin);
  const names = end < 0 ? [] : toText(program.subarray(begin, end)).split('\0');
  if (!names.includes('sh') || !names.every((name) => /^[[\w.+-]+$/.test(name))) {
    throw new ImageError('not-found', 'busybox: no table of applets in this program');
  }
  return names;
}
