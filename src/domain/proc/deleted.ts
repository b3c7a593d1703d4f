import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { parseStat } from '../linux/os.js';
import type { Vma } from './maps.js';
import type { ProcessView } from './survey.js';

/** What the kernel puts behind a name that leads to a file no more. A name may also really end so. */
export const DELETED = ' (deleted)';

/** A name as /proc shows it. */
interface Shown {
  readonly name: string;
  /** Leads to the file itself, such as `/proc/PID/fd/FD`. */
  readonly through: string;
  /** The process's root: `/proc/PID/root`. */
  readonly root: string;
}

/** Whether a name may say that its file is gone: no memfd, no shared memory, nothing that never had a name. */
export const maybeDeleted = (name: string): boolean =>
  name.endsWith(DELETED) &&
  name.startsWith('/') &&
  !/^\/(memfd:|\[aio\] |dev\/zero \(deleted\)$|SYSV[0-9a-f]{8} )/.test(name);

/**
 * Tells names of files that are gone from names that only look like it. Where there are none that could be meant, nothing
 * is asked.
 */
export async function tellDeleted(hands: Hands, views: readonly ProcessView[]): Promise<ProcessView[]> {
  const shown = views.flatMap((view) => {
    const at = `/proc/${view.hostPid}`;
    const root = view.root === '/' ? `${at}/root` : '';
    return [
      ...LINKS.map((l) => ({ name: view[l], through: `${at}/${l}`, root })),
      ...view.descriptors.map((d) => ({ name: d.link, through: `${at}/fd/${d.fd}`, root })),
      ...view.vmas
        .filter((v) => v.deleted)
        .map((v) => ({ name: v.path + DELETED, through: throughVma(view, v), root })),
    ].filter(({ name }) => maybeDeleted(name));
  });
  if (shown.length === 0) return [...views];
  const answers = await areDeleted(hands, shown);
  const there = new Set(shown.filter((_, i) => !(answers[i] ?? true)).map((s) => s.through));
  return views.map((view) => {
    const gone = (name: string, through: string): boolean => maybeDeleted(name) && !there.has(through);
    const at = `/proc/${view.hostPid}`;
    const link = (l: (typeof LINKS)[number]): boolean => gone(view[l], `${at}/${l}`);
    return {
      ...view,
      gone: { cwd: link('cwd'), root: link('root'), exe: link('exe') },
      descriptors: view.descriptors.map((d) => ({ ...d, deleted: gone(d.link, `${at}/fd/${d.fd}`) })),
      vmas: view.vmas.map((v) =>
        v.deleted && there.has(throughVma(view, v)) ? { ...v, path: v.path + DELETED, deleted: false } : v,
      ),
    };
  });
}

const LINKS = ['cwd', 'root', 'exe'] as const;

/** Leads to the file behind a mapping. */
export const throughVma = (view: { readonly hostPid: number }, v: Vma): string =>
  `/proc/${view.hostPid}/map_files/${v.start.toString(16)}-${v.end.toString(16)}`;

/** For each name whether its file is gone from there: unless the very file is found by the name as it is shown. */
async function areDeleted(hands: Hands, shown: readonly Shown[]): Promise<boolean[]> {
  return askAll(hands, shown, 2, (b, { name, through, root }) => {
    const [file, there] = [b.out(128), b.out(128)];
    const held = b.call(SYS.newfstatat, AT_FDCWD, b.str(through), file, 0);
    const found = b.call(SYS.newfstatat, AT_FDCWD, b.str(root + name), there, AT_SYMLINK_NOFOLLOW);
    return (r) => {
      if (r.value(held) < 0 || r.value(found) < 0) return true;
      const [a, c] = [parseStat(r.view(file)), parseStat(r.view(there))];
      return a.dev !== c.dev || a.ino !== c.ino;
    };
  });
}
