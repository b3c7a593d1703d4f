import { O } from '../linux/flags.js';
import type { DescriptorView, ProcessView } from '../proc/survey.js';
import { isObject, isWritable } from './layout.js';

/** Names of which what they lead to is no file that lies somewhere. */
const ELSEWHERE = /^\/(dev\/(?!shm\/)|memfd:|proc\/|sys\/)/;

/** A descriptor of a file or folder that can be found by its name. */
export const isOrdinary = (d: DescriptorView): boolean =>
  d.link.startsWith('/') && !d.deleted && !ELSEWHERE.test(d.link);

/**
 * Paths of files that the domain may be changing: open for writing, or mapped so that writing reaches the
 * file. Their contents go along; any other file must be there already, the same. `brought`: comes along with its file
 * system.
 */
export function carriedPaths(views: readonly ProcessView[], brought: (path: string) => boolean): Set<string> {
  const out = new Set<string>();
  for (const view of views) {
    for (const d of view.descriptors) {
      if (isOrdinary(d) && (d.info.flags & O.ACCMODE) !== O.RDONLY) out.add(d.link);
    }
    for (const v of view.vmas) if (v.ino !== 0 && v.shared && isWritable(v) && !isObject(v)) out.add(v.path);
  }
  for (const path of out) if (brought(path)) out.delete(path);
  return out;
}
