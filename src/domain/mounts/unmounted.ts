import { unsupported } from '../errors.js';
import type { LookContext } from '../kinds/kind.js';
import { AT_FDCWD } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { mountIds, parseStat } from '../linux/os.js';
import { isOrdinary } from '../memory/carried.js';
import { isObject } from '../memory/layout.js';
import { below, deviceOf, type Mount } from './mountinfo.js';
import { allMounts } from './state.js';
import { SYS } from '../../guest/hands/syscalls.js';

const utf8 = new TextDecoder();
/** As much of a link as the survey reads. */
const MOST_LINK = 1024;
const UNMOUNTED = 'a file of what is unmounted';

/** What a process has of a file system, by a path of the hands that leads to it itself, and by its name. */
interface Use {
  readonly through: string;
  /** What the process said of it. */
  readonly link: string;
  readonly name: string;
  readonly where: string;
}

/**
 * Refuses what is used of a file system that is mounted nowhere any more (umount2(2) with `MNT_DETACH`): its name leads to
 * something else, or nowhere; and what a mount covers. Throws `unsupported`.
 */
export async function refuseUnmounted(
  { hands, anchor, views, mountSpaces }: LookContext,
  own: readonly Mount[],
): Promise<void> {
  const mounts = allMounts({ mounts: own, spaces: mountSpaces });
  const ids = new Set(mounts.map((m) => m.id));
  const devs = new Set(mounts.map((m) => m.dev));
  const uses: Use[] = [];
  for (const { hostPid, pid, cwd, gone, descriptors, vmas } of views) {
    const at = (path: string): string => `/proc/${hostPid}/${path}`;
    // A process may have a root of its own; names are told from the domain's.
    const named = (path: string): string => anchor.way(path);
    const linkOf = (path: string): string => anchor.parts(path)[1];
    if (!gone.cwd)
      uses.push({ through: at('cwd'), link: linkOf(cwd), name: named(cwd), where: `process ${pid}, in ${cwd},` });
    for (const { fd, link, info } of descriptors.filter(isOrdinary)) {
      if (ids.has(info.mntId) && !mayBeCovered(own, info.mntId, link)) continue;
      uses.push({
        through: at(`fd/${fd}`),
        link: linkOf(link),
        name: named(link),
        where: `descriptor ${fd} (${link})`,
      });
    }
    for (const v of vmas) {
      const plain = v.ino !== 0 && v.path.startsWith('/') && !v.deleted && !isObject(v);
      if (plain && !devs.has(deviceOf(v.dev))) throw unsupported(UNMOUNTED, `process ${pid}, with ${v.path} mapped,`);
    }
  }
  const same = await askAll(hands, uses, 3, (b, { through, link, name }) => {
    const now = b.out(MOST_LINK);
    const led = b.call(SYS.readlinkat, AT_FDCWD, b.str(through), now, MOST_LINK);
    const stats = [through, name].map((path) => {
      const out = b.out(128);
      return { out, n: b.call(SYS.newfstatat, AT_FDCWD, b.str(path), out, 0) };
    });
    return (r) => {
      const [here, there] = stats.map(({ out, n }) => (r.value(n) < 0 ? undefined : parseStat(r.view(out))));
      // Gone meanwhile, or another by now: nothing is known of it any more.
      if (here === undefined || r.value(led) < 0 || utf8.decode(r.bytes(now, r.value(led))) !== link) return true;
      return here.dev === there?.dev && here.ino === there.ino;
    };
  });
  const other = uses.find((_, i) => !(same[i] ?? true));
  if (other === undefined) return;
  const [mount = -1] = await mountIds(hands, [other.through]);
  throw unsupported(ids.has(mount) ? 'a file that a mount covers' : UNMOUNTED, other.where);
}

/** Whether something is mounted over the file of that name in a mount, or over the mount. */
function mayBeCovered(mounts: readonly Mount[], id: number, path: string): boolean {
  // What is mounted on a mount covers what leads on from it: the file, or the next mount on the way to it.
  let on = path;
  let next: Mount | undefined;
  let at = mounts.find((m) => m.id === id);
  for (let turn = 0; at !== undefined && at !== next && turn <= mounts.length; turn++) {
    const here: Mount = at;
    const [name, way] = [on, next];
    if (mounts.some((m) => m !== here && m !== way && m.parent === here.id && below(name, m.point) !== undefined))
      return true;
    [next, on] = [here, here.point];
    at = mounts.find((m) => m.id === here.parent);
  }
  return false;
}
