import { S_IF, typeOf } from '../files/inode.js';
import { PROT } from '../linux/flags.js';
import { locksOf } from '../proc/locks.js';
import type { ProcessView } from '../proc/survey.js';
import { folderOf, isLarge, PROTECTING_FLAGS, type TreeFile } from './tree.js';

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/**
 * Inode numbers of large files of which somebody would notice that the destination's hands have them open to write until the
 * move is over: nobody could execute them or take a lease, and who watches them would hear that they were closed. Those that nobody may change are among them.
 */
export function noticedFiles(files: readonly TreeFile[], views: readonly ProcessView[]): number[] {
  const used = new Set<number>();
  const watched = new Set<number>();
  const programs = new Set(views.map((v) => nameOf(v.exe)));
  for (const { vmas, descriptors } of views) {
    for (const v of vmas) if ((v.prot & PROT.EXEC) !== 0) used.add(v.ino);
    for (const { info, link } of descriptors) {
      if (info.locked && locksOf(info, link).some((l) => l.kind === 'lease')) used.add(info.ino);
      for (const [key, value] of info.lines) {
        // `inotify wd:1 ino:9e7e sdev:…`, `fanotify ino:9e7e sdev:…`: in hexadecimal. By the number alone: one more is copied.
        const found = /^(?:inotify|fanotify)/.test(key) ? /\bino:([0-9a-f]+)/.exec(`${key}:${value}`) : null;
        if (found?.[1] !== undefined) watched.add(parseInt(found[1], 16));
      }
    }
  }
  const folders = new Map<string, number>();
  if (watched.size > 0)
    for (const f of files) if (typeOf(f) === S_IF.DIR) for (const path of f.paths) folders.set(path, f.ino);
  const isNoticed = (f: TreeFile): boolean =>
    (f.flags & PROTECTING_FLAGS) !== 0 ||
    used.has(f.ino) ||
    watched.has(f.ino) ||
    f.paths.some((p) => programs.has(nameOf(p)) || watched.has(folders.get(folderOf(p)) ?? -1));
  return files.filter((f) => isLarge(f) && isNoticed(f)).map((f) => f.ino);
}
