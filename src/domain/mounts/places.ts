/**
 * Where files are that are used in several mount namespaces. Every kind finds files by their names from the domain's root. So a
 * file that is on a mount of another namespace gets the name by which the domain's own has it, or, where only the other
 * has it, a name that begins with that namespace (`/mnt:[4026532279]/path`), which {@link Anchor.way} leads to. Beside it
 * stands its place, by which it is opened anew: it is always a name of the second sort.
 */
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { isFanotify, isInotify } from '../files/events.js';
import type { LookContext } from '../kinds/kind.js';
import { askAll } from '../linux/ask-all.js';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../linux/flags.js';
import { mountIds } from '../linux/os.js';
import { isFilePath, isSegment } from '../memory/layout.js';
import { DELETED, throughVma } from '../proc/deleted.js';
import { nameOf, type ProcessView } from '../proc/survey.js';
import { together } from '../together.js';
import { WITH_CONTENTS } from './contents.js';
import { readMounts } from './look.js';
import { below, type Mount } from './mountinfo.js';
import { rootMount } from './order.js';
import type { MountSpace } from './spaces.js';

/** A name as /proc shows it, without what says that it is gone. */
interface Use {
  readonly process: ProcessView;
  readonly what: 'cwd' | 'root' | 'exe' | 'descriptor' | 'vma';
  /** Leads to the file itself. */
  readonly through: string;
  readonly path: string;
  readonly gone: boolean;
  readonly mount: number;
}

interface Found {
  /** By which the kinds know it. */
  readonly name: string;
  readonly place: string;
}

/** Gives files their names and places, where the domain has several mount namespaces. Throws `unsupported`. */
export async function placeFiles(
  context: Pick<LookContext, 'hands' | 'anchor'>,
  views: readonly ProcessView[],
  spaces: readonly MountSpace[],
): Promise<readonly ProcessView[]> {
  if (spaces.length === 0) return views;
  const { anchor } = context;
  const home = anchor.namespaces['mnt'] ?? '';
  for (const { pid, namespaces, descriptors } of views) {
    if (namespaces['mnt'] === home) continue;
    if (descriptors.some((d) => isInotify(d) && d.info.lines.some(([key]) => key === 'inotify wd')))
      throw unsupported('a watch (inotify) in a mount namespace of its own', `process ${pid}`);
    if (descriptors.some(isFanotify)) throw unsupported('fanotify in a mount namespace of its own', `process ${pid}`);
  }
  const mounts = await readMounts(context);
  const at = new Map<number, { readonly link: string; readonly mount: Mount }>();
  for (const { link, mounts: own } of [{ link: home, mounts }, ...spaces])
    for (const mount of own) at.set(mount.id, { link, mount });
  const uses = await usesOf(context, views);
  for (const { what, path, process, mount } of uses) {
    if (what !== 'root' || process.namespaces['mnt'] === home) continue;
    const place = at.get(mount);
    const where = `process ${process.pid}`;
    if (place?.link !== process.namespaces['mnt'])
      throw unsupported('a root directory in another mount namespace', where);
    const top = rootMount(spaces.find((s) => s.link === place?.link)?.mounts ?? []);
    if (path === '/' && top?.id !== mount) throw unsupported('a root directory that a mount covers', where);
  }
  const found = new Map<string, Found>();
  const there = uses.filter((u) => at.has(u.mount));
  const names = await namesAtHome(context, there, at, mounts, home);
  there.forEach((use, i) => {
    const { link } = at.get(use.mount) ?? { link: home };
    const name = names[i];
    if (link === home && use.process.namespaces['mnt'] === home) return;
    // What is opened by the hands is opened in the domain's own namespace anyway.
    if (link === home && use.what === 'descriptor') return;
    found.set(use.through, { name: name ?? `/${link}${use.path}`, place: `/${link}${use.path}` });
  });
  return views.map((view) => placed(view, found));
}

async function usesOf({ hands }: Pick<LookContext, 'hands'>, views: readonly ProcessView[]): Promise<Use[]> {
  const uses: Omit<Use, 'mount'>[] = [];
  const known = new Map<string, number>();
  for (const process of views) {
    const at = `/proc/${process.hostPid}`;
    for (const what of ['cwd', 'root', 'exe'] as const) {
      const gone = process.gone[what];
      const path = gone ? process[what].slice(0, -DELETED.length) : process[what];
      if (!path.startsWith('/memfd:')) uses.push({ process, what, through: `${at}/${what}`, path, gone });
    }
    for (const d of process.descriptors) {
      if (!d.link.startsWith('/') || d.link.startsWith('/memfd:')) continue;
      const through = `${at}/fd/${d.fd}`;
      known.set(through, d.info.mntId);
      uses.push({ process, what: 'descriptor', through, path: nameOf(d), gone: d.deleted });
    }
    for (const v of process.vmas) {
      if (v.ino === 0 || !v.path.startsWith('/') || isSegment(v) || !isFilePath(v.path)) continue;
      uses.push({ process, what: 'vma', through: throughVma(process, v), path: v.path, gone: v.deleted });
    }
  }
  const asked = uses.filter((u) => !known.has(u.through));
  const ids = await mountIds(
    hands,
    asked.map((u) => u.through),
  );
  asked.forEach(({ through }, i) => known.set(through, ids[i] ?? -1));
  return uses.map((u) => ({ ...u, mount: known.get(u.through) ?? -1 }));
}

/** By what names the domain's own namespace has files; undefined: they lie on what only the domain has, and go along with that. */
async function namesAtHome(
  { hands, anchor }: Pick<LookContext, 'hands' | 'anchor'>,
  uses: readonly Use[],
  at: ReadonlyMap<number, { readonly link: string; readonly mount: Mount }>,
  mounts: readonly Mount[],
  home: string,
): Promise<(string | undefined)[]> {
  const outside = new Set(anchor.mounts.map((m) => m.dev));
  return together(
    uses.map(async (use): Promise<string | undefined> => {
      const { link, mount } = at.get(use.mount) ?? {};
      if (mount === undefined || link === undefined || link === home) return use.path;
      const own = !outside.has(mount.dev);
      if (own && WITH_CONTENTS.includes(mount.type)) return undefined;
      // What the domain's own namespace has of that file system, the same place first.
      const inside = below(use.path, mount.point);
      const rest =
        inside === undefined ? undefined : inside === '' ? mount.root : `${mount.root}/${inside}`.replace('//', '/');
      const names = mounts.flatMap((m) => {
        const path = m.dev !== mount.dev || rest === undefined ? undefined : below(rest, m.root);
        return path === undefined ? [] : [`${m.point}${path === '' ? '' : `/${path}`}`.replace('//', '/')];
      });
      const all = [...new Set([use.path, ...names])];
      // A name that is gone leads nowhere: the place that it had is enough.
      if (use.gone) {
        const [name] = names.includes(use.path) ? [use.path] : names;
        if (name !== undefined) return name;
      }
      const same = await askAll(hands, use.gone ? [] : all, 2, (b, name) => {
        const [one, other] = [b.out(128), b.out(128)];
        const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(use.through), one, 0);
        const k = b.call(SYS.newfstatat, AT_FDCWD, b.str(anchor.way(name)), other, AT_SYMLINK_NOFOLLOW);
        // dev u64, ino u64.
        return (r) =>
          r.value(n) >= 0 &&
          r.value(k) >= 0 &&
          String(r.bytes(one).slice(0, 16)) === String(r.bytes(other).slice(0, 16));
      });
      const name = all.find((_, i) => same[i]);
      if (name !== undefined) return name;
      throw unsupported(
        'a file that only a mount namespace of its own shows',
        `process ${use.process.pid} (${use.path})`,
      );
    }),
  );
}

function placed(view: ProcessView, found: ReadonlyMap<string, Found>): ProcessView {
  const at = `/proc/${view.hostPid}`;
  const of = (what: 'cwd' | 'root' | 'exe'): Found | undefined => found.get(`${at}/${what}`);
  const named = (what: 'cwd' | 'root' | 'exe'): string => {
    const name = of(what)?.name;
    // The root of a namespace is its root, whatever is there.
    if (name === undefined || view[what] === '/') return view[what];
    return view.gone[what] ? name + DELETED : name;
  };
  return {
    ...view,
    cwd: view.cwd === '/' ? (of('cwd')?.name ?? '/') : named('cwd'),
    root: named('root'),
    exe: named('exe'),
    places: { cwd: of('cwd')?.place, root: of('root')?.place, exe: of('exe')?.place },
    descriptors: view.descriptors.map((d) => {
      const f = found.get(`${at}/fd/${d.fd}`);
      return f === undefined ? d : { ...d, link: d.deleted ? f.name + DELETED : f.name, place: f.place };
    }),
    vmas: view.vmas.map((v) => {
      const f = found.get(throughVma(view, v));
      return f === undefined ? v : { ...v, path: f.name, place: f.place };
    }),
  };
}

/** The mount namespace that a place is in, and the path from its root. */
export function partsOf(place: string): { readonly link: string; readonly path: string } | undefined {
  const found = PLACE.exec(place);
  return found === null ? undefined : { link: found[1] ?? '', path: found[2] ?? '' };
}
const PLACE = /^\/(mnt:\[\d+\])(\/.*)$/s;
