import type { Hands } from '../../guest/hands/hands.js';
import { unsupported } from '../errors.js';
import type { ForesightContext, LookContext } from '../kinds/kind.js';
import { readText } from '../linux/os.js';
import { O, PROT } from '../linux/flags.js';
import type { ProcessView } from '../proc/survey.js';
import { together } from '../together.js';
import { closeAll } from '../linux/making.js';
import { fileTime, TICKS } from './file-time.js';
import { MADE_UP, WITH_CONTENTS } from './contents.js';
import { below, deviceOf, parseMountinfo, type Mount } from './mountinfo.js';
import { isCovered, mountOrder, rootMount, widest } from './order.js';
import { reachMounts } from './reach.js';
import { noticedFiles } from './noticed.js';
import { copiesOf, type MountSpace } from './spaces.js';
import { allMounts, inherited, layoutKey, type Beneath, type MountsState, type SavedPart } from './state.js';
import { addMark, addWatch, FAN_MARK_FILESYSTEM, inodeOf, readWatch } from './watch.js';
import { isSame, listTree, statAll, withContents, type FileTree } from './tree.js';

/** In one namespace, and in all of them together. */
const MOST_MOUNTS = 250;
const MOST_IN_ALL = 1000;

export async function readMounts({ hands, anchor }: Pick<LookContext, 'hands' | 'anchor'>): Promise<Mount[]> {
  return parseMountinfo((await readText(hands, `/proc/${anchor.pid}/mountinfo`)) ?? '');
}

/**
 * What is mounted in the domain, with the contents of what only the domain has; null: nothing has changed since it is in
 * this OS instance. `known`: an earlier look, of which contents that are the same are not read again. Throws `unsupported`.
 */
export async function lookAtMounts(context: ForesightContext, known?: MountsState | null): Promise<MountsState | null> {
  const { hands, anchor, mountSpaces: spaces } = context;
  const mounts = await readMounts(context);
  const before = anchor.mounts;
  if (spaces.length === 0 && JSON.stringify(mounts) === JSON.stringify(before)) return null;
  refuseStrange(mounts, spaces, before);
  const all = allMounts({ mounts, spaces });
  const at = await fileTime(hands);
  if (known !== undefined && known !== null) {
    const bare = { ...known, at, mounts, spaces };
    if (layoutKey(bare) === layoutKey(known)) {
      // Inode numbers of one file system are taken for those of another too: some files are copied for nothing.
      const events = known.watch < 0 ? undefined : await readWatch(hands, known.watch);
      const written = events === undefined ? undefined : new Set(events.map(inodeOf));
      const [own, bound] = await together([
        together(
          known.own.map(async (f) => ({
            ...f,
            parts: await together(f.parts.map((p) => partAgain(context, p, f.dev, known.at, written))),
          })),
        ),
        together(
          known.bound.map(async (p) => ({
            ...(await partAgain(context, p, devOf(p.id, all), known.at, written)),
            id: p.id,
          })),
        ),
      ]);
      return { ...bare, own, bound };
    }
  }
  return firstLook(context, mounts, spaces, at);
}

const devOf = (id: number, mounts: readonly Mount[]): string => mounts.find((m) => m.id === id)?.dev ?? '';

async function firstLook(
  context: ForesightContext,
  mounts: readonly Mount[],
  spaces: readonly MountSpace[],
  at: bigint,
): Promise<MountsState> {
  const { hands, anchor, hold } = context;
  const before = anchor.mounts;
  const old = asBefore({ mounts, spaces, before });
  const all = allMounts({ mounts, spaces });
  const outside = new Set(before.map((m) => m.dev));
  const made = all.filter((m) => !old.has(m.id));
  const devs = [...new Set(made.map((m) => m.dev))].filter((dev) => !outside.has(dev));
  const parts = new Map(devs.map((dev) => [dev, widest(made.filter((m) => m.dev === dev))]));
  const full = (dev: string): boolean => WITH_CONTENTS.includes(made.find((m) => m.dev === dev)?.type ?? '');
  const ofOutside = made.filter((m) => outside.has(m.dev));
  const wanted = new Set([...devs.filter(full).flatMap((dev) => parts.get(dev) ?? []), ...ofOutside].map((m) => m.id));
  const parents = new Set(made.map((m) => m.parent));
  const under = all.filter((m) => parents.has(m.id) && outside.has(m.dev));
  const reached = new Map<number, number>();
  const trees = [{ at: `/proc/${anchor.pid}/ns/mnt`, mounts }].concat(
    spaces.map((s) => ({ at: `/proc/self/fd/${s.held}`, mounts: s.mounts })),
  );
  for (const tree of trees) {
    const some = await reachMounts(hands, tree.at, tree.mounts, (m) => wanted.has(m.id) || under.includes(m));
    for (const [id, fd] of some) {
      hold(fd);
      reached.set(id, fd);
    }
  }
  const fdOf = (m: Mount): number => reached.get(m.id) ?? -1;
  const watch = await watchAll(
    hands,
    [...wanted].flatMap((id) => reached.get(id) ?? []),
  );
  hold(watch);

  const own = await together(
    devs.map(async (dev) => {
      const [first] = parts.get(dev) ?? [];
      const { type, source, options } = first ?? { type: '', source: '', options: [] };
      const tops = full(dev) ? (parts.get(dev) ?? []) : [];
      const saved = await together(tops.map((m) => part(context, m, fdOf(m), at)));
      return { dev, type, source, options, parts: saved };
    }),
  );
  const bound: (SavedPart & { id: number })[] = [];
  for (const m of ofOutside) {
    if (bound.some((p) => p.root === m.root && devOf(p.id, all) === m.dev)) continue;
    if (m.root === '/' || before.some((b) => b.dev === m.dev && b.root === m.root)) continue;
    const [top] = await statAll(hands, fdOf(m), ['']);
    if (top === undefined || top.btime < anchor.since || m.type === 'overlay') continue;
    bound.push({ ...(await part(context, m, fdOf(m), at)), id: m.id });
  }
  const beneath = await together(
    made.map(async (m): Promise<Beneath | undefined> => {
      const parent = under.find((p) => p.id === m.parent);
      const path = parent === undefined ? undefined : below(m.point, parent.point);
      if (parent === undefined || path === undefined) return undefined;
      const [f] = await statAll(hands, fdOf(parent), [path]);
      return f === undefined ? undefined : { id: m.id, mode: f.mode, uid: f.uid, gid: f.gid };
    }),
  );
  const home = anchor.namespaces['mnt'] ?? '';
  return { at, watch, mounts, spaces, home, before, own, beneath: beneath.filter((x) => x !== undefined), bound };
}

async function part(context: ForesightContext, m: Mount, held: number, at: bigint): Promise<SavedPart> {
  const { hands, views } = context;
  const tree = await withContents(hands, held, await listTree(hands, held, m.point));
  // While somebody can write to it, a file system cannot be made read-only.
  const flips = WITH_CONTENTS.includes(m.type) && !m.options.includes('ro');
  const [touched, noticed] = [touchedFiles(tree, views, m.dev, at), noticedFiles(tree.files, views)];
  return { root: m.root, held, flips, tree: { ...tree, touched, noticed } };
}

/** A part that is looked at again: with the contents of files that are not what they were. */
async function partAgain(
  context: ForesightContext,
  before: SavedPart,
  dev: string,
  at: bigint,
  written: ReadonlySet<number> | undefined,
): Promise<SavedPart> {
  const { hands, views } = context;
  const listed = await listTree(hands, before.held, before.root, { known: { files: before.tree.files, at } });
  const again = listed.files.filter((f) => written === undefined || written.has(f.ino)).map((f) => f.ino);
  const touched = new Set([...before.tree.touched, ...touchedFiles(listed, views, dev, at), ...again]);
  const old = new Map(before.tree.files.map((f) => [`${f.ino} ${f.paths.join('\0')}`, f]));
  const tree = await withContents(hands, before.held, listed, (f) => {
    const known = old.get(`${f.ino} ${f.paths.join('\0')}`);
    return known !== undefined && isSame(known, f) && !touched.has(f.ino);
  });
  return { ...before, tree: { ...tree, touched: [...touched], noticed: noticedFiles(tree.files, views) } };
}

/** Watches what is written on the file systems of these places; answers -1 if that cannot be. */
async function watchAll(hands: Hands, fds: readonly number[]): Promise<number> {
  const b = hands.batch();
  const made = addWatch(b);
  const marks = fds.map((fd) => addMark(b, made, FAN_MARK_FILESYSTEM, `/proc/self/fd/${fd}`));
  const r = await b.run();
  if (marks.every((m) => r.value(m) >= 0)) return r.value(made);
  await closeAll(hands, [r.value(made)]);
  return -1;
}

function touchedFiles(tree: FileTree, views: readonly ProcessView[], dev: string, at: bigint): number[] {
  const mapped = new Set<number>();
  for (const view of views) {
    // By its inode number alone: one of another file system is copied for nothing.
    for (const d of view.descriptors) if ((d.info.flags & O.ACCMODE) === O.RDWR) mapped.add(d.info.ino);
    for (const v of view.vmas) {
      // A mapping that may not be written now may have been a moment ago.
      if (v.shared && deviceOf(v.dev) === dev && (v.prot & PROT.EXEC) === 0) mapped.add(v.ino);
    }
  }
  return tree.files.filter((f) => mapped.has(f.ino) || f.ctime > at - TICKS).map((f) => f.ino);
}

/** Mounts of all namespaces that are as the domain was made with them, or copies of those. */
export function asBefore({
  mounts,
  spaces,
  before,
}: Pick<MountsState, 'mounts' | 'spaces' | 'before'>): Map<number, Mount> {
  return new Map([...inherited({ mounts, before }), ...spaces.flatMap((s) => [...copiesOf(s.mounts, before)])]);
}

/** Throws `unsupported` for what cannot be mounted anew. */
function refuseStrange(mounts: readonly Mount[], spaces: readonly MountSpace[], before: readonly Mount[]): void {
  const all = allMounts({ mounts, spaces });
  if ([mounts, ...spaces.map((s) => s.mounts)].some((tree) => tree.length > MOST_MOUNTS))
    throw unsupported(`more than ${MOST_MOUNTS} mounts`, 'the domain');
  if (all.length > MOST_IN_ALL) throw unsupported(`more than ${MOST_IN_ALL} mounts`, 'the domain');
  const groups = new Set(all.map((m) => m.shared));
  refuseTree(mounts, before, inherited({ mounts, before }), groups, false);
  for (const s of spaces) refuseTree(s.mounts, before, copiesOf(s.mounts, before), groups, true);
}

/** `nested`: the namespace is not the domain's own, but one that began as a copy. */
function refuseTree(
  mounts: readonly Mount[],
  before: readonly Mount[],
  old: ReadonlyMap<number, Mount>,
  groups: ReadonlySet<number>,
  nested: boolean,
): void {
  const root = rootMount(mounts);
  if (root === undefined || mountOrder(mounts).length !== mounts.length)
    throw unsupported('mounts that are not one tree', 'the domain');
  const outside = new Set(before.map((m) => m.dev));
  for (const m of mounts) {
    const where = m.point;
    if (m.master !== 0 && !groups.has(m.master)) throw unsupported('a mount that follows one elsewhere', where);
    if (m !== root && m.point === '/') throw unsupported('a mount over the root directory', where);
    if (old.has(m.id)) continue;
    if (m.root.endsWith('//deleted')) throw unsupported('a mount of what is deleted', where);
    if (m.root.startsWith('/..') || !m.root.startsWith('/')) throw unsupported(`a mount of ${m.type}`, where);
    if (outside.has(m.dev)) continue;
    if (![...WITH_CONTENTS, ...MADE_UP].includes(m.type)) throw unsupported(`a mount of ${m.type}`, where);
  }
  if (!nested && !old.has(root.id)) throw unsupported('another root than the OS instance has', 'the domain');
  const isAsBefore = (now: Mount, b: Mount): boolean =>
    JSON.stringify({ ...now, parent: 0, id: 0 }) === JSON.stringify({ ...b, parent: 0, id: 0 });
  for (const b of before) {
    const now = nested ? mounts.find((m) => old.get(m.id) === b) : mounts.find((m) => m.id === b.id);
    if (now !== undefined && isCovered(b, before) && !isAsBefore(now, b))
      throw unsupported('another way of a mount that is covered', b.point);
  }
}
