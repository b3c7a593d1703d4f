/**
 * What is written through mounts of another namespace than the domain's own. They are watched as the domain's own are, but
 * only from when they are first seen: what was written before is found by its time, where programs write.
 */
import type { Hands } from '../../guest/hands/hands.js';
import { unsupported } from '../errors.js';
import { S_IF, typeOf } from '../files/inode.js';
import type { LookContext } from '../kinds/kind.js';
import { askAll } from '../linux/ask-all.js';
import { readDirs } from '../linux/os.js';
import type { Anchor } from '../tree/anchor.js';
import { withFiles } from './contents.js';
import { statAll } from './tree.js';
import { addMark, FAN_MARK_MOUNT } from './watch.js';

/** Folders of a root in which there are programs and what the kernel makes up. */
const NOT_WRITTEN = ['usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64', 'boot', 'proc', 'sys', 'dev'];
const MOST_FILES = 50_000;

/** Watches mount namespaces that are seen for the first time. `watch`: a descriptor of the hands (written.ts). */
export async function watchSpaces(
  { hands, anchor, mountSpaces }: Pick<LookContext, 'hands' | 'anchor' | 'mountSpaces'>,
  watch: number,
): Promise<void> {
  const fresh = mountSpaces.filter((s) => !anchor.written.spaces.has(s.link));
  if (fresh.length === 0 || watch < 0) return;
  const outside = new Set(anchor.mounts.map((m) => m.dev));
  const marks = fresh.flatMap(({ link, mounts }) =>
    withFiles(mounts)
      .filter((mount) => outside.has(mount.dev))
      .map((mount) => ({ mount, path: anchor.way(`/${link}${mount.point}`) })),
  );
  const marked = await askAll(hands, marks, 1, (b, { path }) => {
    const n = addMark(b, watch, FAN_MARK_MOUNT, path);
    return (r) => r.value(n) >= 0;
  });
  const writable = marks.some(({ mount }, i) => marked[i] && mount.type !== 'overlay' && mount.flags.includes('rw'));
  if (writable) for (const name of await changedSince(hands, anchor)) anchor.written.names.add(name);
  for (const { link } of fresh) anchor.written.spaces.add(link);
}

/** Names, from the domain's root, of files on the root's file system that somebody has changed since the domain is there. */
async function changedSince(hands: Hands, anchor: Anchor): Promise<string[]> {
  const out: string[] = [];
  const root = `/proc/${anchor.pid}/root`;
  let folders = [''];
  let count = 0;
  let dev: string | undefined;
  while (folders.length > 0) {
    const names = await readDirs(
      hands,
      folders.map((f) => `${root}${f}/`),
    );
    const paths = folders.flatMap((f, i) =>
      (names[i] ?? []).filter((name) => f !== '' || !NOT_WRITTEN.includes(name)).map((name) => `${f}/${name}`),
    );
    count += paths.length;
    if (count > MOST_FILES)
      throw unsupported(
        `a mount namespace of its own on a file system with more than ${MOST_FILES} files`,
        'the domain',
      );
    const facts = await statAll(hands, -1, [`${root}/`, ...paths.map((p) => root + p)]);
    dev ??= facts[0]?.dev;
    folders = [];
    for (const [i, path] of paths.entries()) {
      const f = facts[i + 1];
      if (f === undefined || f.dev !== dev) continue;
      if (typeOf(f) === S_IF.DIR) folders.push(path);
      else if (typeOf(f) === S_IF.REG && f.ctime >= anchor.since) out.push(path);
    }
  }
  return out;
}
