/** What inotify(7) and fanotify(7) have in common: they watch files, by paths of the domain or as files whose name is gone. */
import type { Hands } from '../../../guest/hands/hands.js';
import { unsupported, unsupportedNow } from '../../errors.js';
import { ghostPlaces } from '../../files/places.js';
import type { Watch } from '../../files/watches.js';
import type { DescriptorView } from '../../proc/survey.js';
import type { LookContext, OpenFile, RestoreContext } from '../kind.js';

type Watched = Pick<Watch, 'path' | 'ghost'>;

/** What an open file watches, as `look` tells by the mounts of the domain's first process. Throws `unsupported`. */
export async function lookAtWatched<T extends Watched>(
  { hands, anchor, views }: LookContext,
  file: OpenFile,
  look: (hands: Hands, view: DescriptorView, pid: number) => Promise<T[]>,
): Promise<T[]> {
  // Whether it has something unread is asked of who has it.
  if (file.users.length === 0) throw unsupportedNow(`${file.view.link} that only waits in a UNIX socket`, 'the domain');
  const all = await look(hands, file.view, anchor.pid);
  const places = new Set(ghostPlaces(views).map((p) => p.path));
  for (const { path, ghost } of all)
    if (ghost !== undefined && !places.has(path)) throw unsupported('a watch of a deleted file', path);
  return all;
}

/** Where the hands find it in the destination. */
export const wayToWatched = ({ anchor, objectFds }: RestoreContext, { path, ghost }: Watched): string =>
  ghost === undefined ? `/proc/${anchor.pid}/root${path}` : `/proc/self/fd/${objectFds.get(ghost) ?? -1}`;
