import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import type { Batch, Ref } from '../../guest/hands/batch.js';
import { S_IF, typeOf } from '../files/inode.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_EMPTY_PATH, AT_FDCWD, O } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import { copyFile } from './copy-file.js';
import {
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  FSPICK_CLOEXEC,
  FSPICK_EMPTY_PATH,
  MNT_DETACH,
  mountAttributes,
  MOVE_MOUNT,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from './flags.js';
import { entering, holdRoot, makeSpaces, watchTree } from './enter.js';
import { roomFor } from '../memory/flipped-files.js';
import { below, type Mount } from './mountinfo.js';
import { mountOrder } from './order.js';
import { addContents, compareTrees, dressTree, plantTree, type Difference } from './plant.js';
import { copiesOf, type MountSpace } from './spaces.js';
import { spread } from './spread.js';
import { inherited, placeOf, type MountsState, type SavedFileSystem, type SavedPart } from './state.js';
import { fileAt, isLarge, joined, listTree, statAll, type FileTree, type TreeFile } from './tree.js';

/** Where mounts are gathered until they go to their places: a folder that is there for sure, the domain's own `/proc`. */
const YARD = '/proc';

/** Has the first process of the domain make one call. Throws `guest`. */
export async function ask(anchor: Tracee, what: string, add: (b: Batch) => Ref): Promise<number> {
  const b = anchor.batch();
  const ref = add(b);
  return check((await b.run()).value(ref), what);
}

/** Mounts as they stand in the destination, by descriptors of the domain's first process. */
export interface Standing {
  readonly anchor: Tracee;
  readonly fds: Map<number, number>;
  /** Has the first process be in the namespace that a mount is in: what is in another it may not change. */
  readonly enter: (m: Mount) => Promise<void>;
}

/** A tree of mounts that is made from what is there as the domain is made. */
interface Tree {
  readonly mounts: readonly Mount[];
  /** Mounts that are there, by what they are (or are copies of) in the source as the domain was made. */
  readonly old: ReadonlyMap<number, Mount>;
  /** Of the domain's own namespace: undefined. */
  readonly space: MountSpace | undefined;
}

/**
 * Mounts in the destination what the domain has mounted, when there is nobody in it yet but its first process. Files go
 * along with their contents as they were looked at.
 */
export async function buildMounts(context: RestoreContext, state: MountsState): Promise<void> {
  const { anchor } = context;
  const { tracee } = anchor;
  const opened: number[] = [];
  const keep = (fd: number): number => (opened.push(fd), fd);
  // Before anything is mounted: they begin as copies of what is there.
  await makeSpaces(context, state);
  const trees: Tree[] = [
    { mounts: state.mounts, old: inherited(state), space: undefined },
    ...state.spaces.map((space) => ({ mounts: space.mounts, old: copiesOf(space.mounts, state.before), space })),
  ];
  if (state.spaces.length > 0) anchor.roots.set(state.home, `/proc/${anchor.pid}/root`);
  const enter = entering(context, trees);
  const outside = await openOutside(context, keep);
  const here = (b: Mount): number | undefined => outside.get(placeOf(b, state.before));

  const yard = await newFileSystem(tracee, { dev: '', type: 'tmpfs', source: 'none', options: [], parts: [] }, keep);
  await moveTo(tracee, yard, AT_FDCWD, YARD);
  const systems = new Map<string, number>();
  for (const f of state.own) {
    const fd = await newFileSystem(tracee, f, keep);
    await ask(tracee, 'making a place for a mount', (b) => b.call(SYS.mkdirat, yard, b.str(`${systems.size}`), 0o700));
    await moveTo(tracee, fd, yard, `${systems.size}`);
    systems.set(f.dev, fd);
    if (f.parts.length > 0) await fill(context, f, fd);
  }

  // All that is mounted is copied in the domain's own namespace: from another it could not be.
  const standing: Standing = { anchor: tracee, fds: new Map(), enter };
  const copies = new Map<number, number>();
  for (const { mounts, old } of trees) {
    for (const m of mountOrder(mounts)) {
      if (old.has(m.id)) continue;
      const system = systems.get(m.dev);
      const from =
        system === undefined ? await outsideOf(context, state, m, here) : { fd: system, path: m.root.slice(1) };
      const fd = keep(await cloneOf(tracee, from.fd, from.path, m.point));
      await attributes(tracee, fd, m);
      copies.set(m.id, fd);
    }
  }
  for (const tree of trees) {
    const [first] = tree.mounts;
    if (first === undefined) continue;
    await enter(first);
    const there = tree.space === undefined ? outside : await openOutside(context, keep);
    await raise(context, state, tree, standing, copies, there);
    if (tree.space === undefined) continue;
    await holdRoot(context, tree.space);
    await watchTree(context, state, tree.space);
  }
  await spread(standing, state, systems, yard, keep);
  const [own] = state.mounts;
  if (own !== undefined) await enter(own);
  await ask(tracee, 'leaving the yard', (b) => b.call(SYS.umount2, b.str(YARD), MNT_DETACH));
  const b = tracee.batch();
  for (const fd of opened) b.call(SYS.close, fd);
  await b.run();
}

/** What the OS instance has mounted in the namespace that the first process is in, from the top of each place. */
async function openOutside({ anchor }: RestoreContext, keep: (fd: number) => number): Promise<Map<string, number>> {
  const { mounts, tracee } = anchor;
  const out = new Map<string, number>();
  for (const m of mounts) {
    if (mounts.some((x) => x !== m && x.parent === m.id && x.point === m.point)) continue;
    const fd = await ask(tracee, `opening ${m.point}`, (b) =>
      b.call(SYS.openat, AT_FDCWD, b.str(m.point), O.PATH | O.CLOEXEC | O.NOFOLLOW, 0),
    );
    out.set(placeOf(m, mounts), keep(fd));
  }
  return out;
}

/** Raises one tree in the namespace that the first process is in. `copies`: of what is to be mounted, by the mounts' ids. */
async function raise(
  context: RestoreContext,
  state: MountsState,
  { mounts, old, space }: Tree,
  standing: Standing,
  copies: ReadonlyMap<number, number>,
  outside: ReadonlyMap<string, number>,
): Promise<void> {
  const { anchor } = context;
  const { tracee } = anchor;
  const placeHere = new Set(anchor.mounts.map((m) => placeOf(m, anchor.mounts)));
  const order = mountOrder(mounts);
  const [root] = order;
  if (root === undefined) return;
  for (const m of order) {
    const b = old.get(m.id);
    const fd = b === undefined ? undefined : outside.get(placeOf(b, state.before));
    if (fd !== undefined) standing.fds.set(m.id, fd);
  }
  const ownRoot = copies.get(root.id);
  if (space !== undefined && ownRoot !== undefined) {
    // What was the root is out of reach below another: whoever enters the namespace comes to the uppermost.
    await moveTo(tracee, ownRoot, AT_FDCWD, '/');
    standing.fds.set(root.id, ownRoot);
    await standing.enter(root);
  } else {
    // What the domain has unmounted, as far as it is there.
    const there = new Set(old.values());
    for (const b of [...state.before].reverse()) {
      if (there.has(b) || !placeHere.has(placeOf(b, state.before))) continue;
      await ask(tracee, `unmounting ${b.point}`, (q) => q.call(SYS.umount2, q.str(b.point), MNT_DETACH));
    }
  }
  for (const m of order) {
    const fd = copies.get(m.id);
    if (fd === undefined || standing.fds.has(m.id)) continue;
    await attach(context, state, mounts, standing, m, fd);
    standing.fds.set(m.id, fd);
  }
  for (const [id, b] of old) {
    const m = mounts.find((x) => x.id === id);
    const fd = standing.fds.get(id);
    if (m === undefined || fd === undefined) continue;
    if (m.flags.join() !== b.flags.join()) await attributes(tracee, fd, m);
  }
}

/** A file system of a kind, mounted nowhere yet. */
export async function newFileSystem(tracee: Tracee, f: SavedFileSystem, keep: (fd: number) => number): Promise<number> {
  const b = tracee.batch();
  const made = b.call(SYS.fsopen, b.str(f.type), FSOPEN_CLOEXEC);
  const fs = check((await b.run()).value(made), `making a file system of type ${f.type}`);
  const c = tracee.batch();
  if (f.source !== '') c.call(SYS.fsconfig, fs, FSCONFIG.SET_STRING, c.str('source'), c.str(f.source), 0);
  for (const option of f.options) {
    const at = option.indexOf('=');
    if (option === 'rw' || option === 'ro' || option === '') continue;
    if (at < 0) c.call(SYS.fsconfig, fs, FSCONFIG.SET_FLAG, c.str(option), 0, 0);
    else c.call(SYS.fsconfig, fs, FSCONFIG.SET_STRING, c.str(option.slice(0, at)), c.str(option.slice(at + 1)), 0);
  }
  const created = c.call(SYS.fsconfig, fs, FSCONFIG.CMD_CREATE, 0, 0, 0);
  const mounted = c.call(SYS.fsmount, fs, FSMOUNT_CLOEXEC, 0);
  c.call(SYS.close, fs);
  const r = await c.run();
  check(r.value(created), `making a file system of type ${f.type}`);
  return keep(check(r.value(mounted), `mounting a file system of type ${f.type}`));
}

export function moveTo(tracee: Tracee, fd: number, folder: number, path: string): Promise<number> {
  const flags = MOVE_MOUNT.F_EMPTY_PATH | (path === '' ? MOVE_MOUNT.T_EMPTY_PATH : 0);
  return ask(tracee, `mounting ${path}`, (b) => b.call(SYS.move_mount, fd, b.str(''), folder, b.str(path), flags));
}

export function cloneOf(tracee: Tracee, fd: number, path: string, what: string): Promise<number> {
  return ask(tracee, `binding ${what}`, (b) =>
    b.call(SYS.open_tree, fd, b.str(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH),
  );
}

function attributes(tracee: Tracee, fd: number, m: Mount): Promise<number> {
  return ask(tracee, `giving ${m.point} its flags`, (b) =>
    b.call(SYS.mount_setattr, fd, b.str(''), AT_EMPTY_PATH, b.bytes(mountAttributes(m.flags)), 32),
  );
}

/** A descriptor of the destination's hands for the top of a mount that the first process has a descriptor of. */
export async function handsFd(hands: Hands, pid: number, fd: number): Promise<number> {
  const b = hands.batch();
  const opened = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/${pid}/fd/${fd}`), O.PATH | O.CLOEXEC, 0);
  return check((await b.run()).value(opened), 'opening a file system of the domain');
}

export const treeKey = (dev: string): string => `file system ${dev}`;
export const boundKey = (id: number): string => `bound ${id}`;

/** All parts of a file system as one tree, from its top. */
export function wholeTree(f: SavedFileSystem): FileTree {
  return {
    files: f.parts.flatMap(({ root, tree }) => {
      const top = root.slice(1);
      return tree.files.map((file) => ({
        ...file,
        paths: file.paths.map((p) => (p === '' ? top : joined(top, p))),
      }));
    }),
    touched: f.parts.flatMap((p) => p.tree.touched),
    noticed: f.parts.flatMap((p) => p.tree.noticed),
  };
}

async function fill(context: RestoreContext, f: SavedFileSystem, mounted: number): Promise<void> {
  const { hands, anchor } = context;
  const fd = await handsFd(hands, anchor.pid, mounted);
  hold(context, treeKey(f.dev), fd);
  for (const { root } of f.parts) await folders(hands, fd, root.slice(1).split('/').slice(0, -1));
  await plant(context, fd, undefined, wholeTree(f), f.parts);
}

/** Notes a descriptor of the hands until the restoration is over. */
function hold({ hands, objectFds, undo }: RestoreContext, key: string, fd: number): void {
  objectFds.set(key, fd);
  undo.add('closing a file system of the domain', async () => {
    if (!objectFds.delete(key)) return;
    await closeAll(hands, [fd]);
  });
}

async function folders(hands: Hands, fd: number, names: readonly string[]): Promise<void> {
  const b = hands.batch();
  names.forEach((_, i) => b.call(SYS.mkdirat, fd, b.str(names.slice(0, i + 1).join('/')), 0o755));
  if (b.length > 0) await b.run();
}

/** Makes of a tree in the destination what it is now; `parts`: where in the source large contents are. */
export async function plant(
  context: RestoreContext,
  fd: number,
  before: FileTree | undefined,
  now: FileTree,
  parts: readonly SavedPart[],
): Promise<void> {
  await bringAbout(context, fd, compareTrees(before, now), parts, false);
}

/** As {@link plant}, for the upper layer of an overlay, by the overlay's own root: what is under it shows through. */
export async function plantOver(
  context: RestoreContext,
  fd: number,
  before: FileTree,
  now: FileTree,
  parts: readonly SavedPart[],
): Promise<void> {
  const { gone, made, changed, rewritten } = compareTrees(before, now);
  const isHole = (f: TreeFile): boolean => typeOf(f) === S_IF.CHR && f.rdev === 0n;
  await context.flipped.drop(gone.map(keyOf));
  const away = [...gone.filter((f) => !isHole(f)), ...made.filter(isHole)];
  for (const path of away.flatMap((f) => f.paths)) await removeAll(context.hands, fd, path);
  // Marks of the overlay's own are made by it.
  const bare = (files: readonly TreeFile[]): TreeFile[] =>
    files
      .filter((f) => !isHole(f))
      .map((f) => ({ ...f, attributes: f.attributes.filter(([name]) => !name.startsWith('trusted.overlay.')) }));
  const difference = { gone: [], made: bare(made), changed: bare(changed), rewritten: bare(rewritten) };
  await bringAbout(context, fd, difference, parts, true);
}

/** Removes what is at a path, with all that is below. */
async function removeAll(hands: Hands, fd: number, path: string): Promise<void> {
  const b = hands.batch();
  const opened = b.call(SYS.openat, fd, b.str(path), O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  const top = (await b.run()).value(opened);
  if (top < 0) return;
  try {
    const { files } = await listTree(hands, top, path, { layers: true });
    const all = files.map((f) => ({ ...f, paths: f.paths.map((p) => (p === '' ? path : joined(path, p))) }));
    await plantTree(hands, fd, { gone: all, made: [], changed: [], rewritten: [] });
  } finally {
    await closeAll(hands, [top]);
  }
}

async function bringAbout(
  context: RestoreContext,
  fd: number,
  difference: Difference,
  parts: readonly SavedPart[],
  over: boolean,
): Promise<void> {
  const { hands, source, counters, flipped } = context;
  const { gone, made, rewritten } = difference;
  const origins = new Map(parts.flatMap((part) => part.tree.files.map((file) => [file.ino, { part, file }] as const)));
  const large = [...made, ...rewritten].filter(isLarge).map((f) => {
    const origin = origins.get(f.ino);
    if (origin === undefined) throw new DomainError('state', `the contents of ${f.paths[0] ?? ''} are nowhere`);
    const { part, file } = origin;
    return { f, part, from: fileAt(part.held, file), into: fileAt(fd, f) };
  });
  const touched = new Set(parts.flatMap((p) => p.tree.touched));
  const noticed = new Set(parts.flatMap((p) => p.tree.noticed));
  let { room } = flipped;
  const flips = large.filter(
    ({ f, part }) =>
      // What will hardly change is copied while the domain runs: it need not be looked at any more when it stands still.
      part.flips && !noticed.has(f.ino) && (flipped.stands || touched.has(f.ino)) && (room -= roomFor(f.size)) > 0,
  );
  const flipping = new Set(flips.map(({ f }) => f));
  await flipped.drop([...gone, ...made, ...rewritten.filter((f) => !flipping.has(f))].map(keyOf));
  await plantTree(hands, fd, { ...difference, rewritten: rewritten.filter((f) => !flipping.has(f)) }, over);
  await flipped.place(
    flips.map(({ f, from, into }) => ({ key: keyOf(f), size: f.size, full: f.room >= f.size, from, into })),
  );
  for (const { f, from, into } of large) {
    if (flipping.has(f)) continue;
    if (source === undefined) throw new DomainError('state', `the contents of ${f.paths[0] ?? ''} are nowhere`);
    counters.bytesCopied += await copyFile(source, from, hands, into, f.size);
  }
  counters.bytesCopied += [...made, ...rewritten].reduce((n, { contents }) => n + (contents?.length ?? 0), 0);
  await dressTree(hands, fd, difference);
}

const keyOf = ({ dev, ino }: TreeFile): string => `${dev} ${ino}`;

/** What of a file system of the OS instance is mounted, in the destination; made there if the domain made it. */
async function outsideOf(
  context: RestoreContext,
  state: MountsState,
  m: Mount,
  here: (b: Mount) => number | undefined,
): Promise<{ fd: number; path: string }> {
  const { hands, anchor } = context;
  for (const b of state.before) {
    const path = b.dev === m.dev ? below(m.root, b.root) : undefined;
    const fd = here(b);
    if (path === undefined || fd === undefined) continue;
    const own = await handsFd(hands, anchor.pid, fd);
    hold(context, `outside ${m.id}`, own);
    // What is mounted in several places comes along once.
    const bound = state.bound.find((p) => p.id === m.id);
    if (bound !== undefined) await bring(context, own, path, bound);
    const [there] = await statAll(hands, own, [path]);
    if (there === undefined)
      throw new DomainError('mismatch', `${m.root}, which is mounted at ${m.point}, is missing in ${hands.name}`, {
        resource: m.root,
      });
    return { fd, path };
  }
  throw new DomainError('mismatch', `what is mounted at ${m.point} is missing in ${hands.name}`, { resource: m.point });
}

/** Brings a file or folder of the OS instance along that the domain has made: what stood there before is replaced. */
async function bring(
  context: RestoreContext,
  fd: number,
  path: string,
  bound: SavedPart & { id: number },
): Promise<void> {
  const { hands } = context;
  const top = bound.tree.files.find((f) => f.paths.includes(''));
  if (top === undefined) return;
  const names = path.split('/');
  await folders(hands, fd, names.slice(0, -1));
  const isFolder = typeOf(top) === S_IF.DIR;
  const b = hands.batch();
  if (isFolder) b.call(SYS.mkdirat, fd, b.str(path), 0o700);
  else {
    b.call(SYS.unlinkat, fd, b.str(path), 0);
    b.call(SYS.mknodat, fd, b.str(path), top.mode, top.rdev);
  }
  const opened = b.call(SYS.openat, fd, b.str(path), O.PATH | O.NOFOLLOW | O.CLOEXEC, 0);
  const own = check((await b.run()).value(opened), `making ${path}`);
  hold(context, boundKey(bound.id), own);
  if (!isFolder) {
    await rewriteFile(context, own, bound);
    return;
  }
  const there = await listTree(hands, own, path);
  // Nothing of it is what it was: other files.
  await plant(
    context,
    own,
    { files: there.files.map((f) => ({ ...f, ino: -1 })), touched: [], noticed: [] },
    bound.tree,
    [bound],
  );
}

/** Contents, owner, mode, attributes and times of a file that is mounted by itself. */
export async function rewriteFile(context: RestoreContext, fd: number, part: SavedPart): Promise<void> {
  const { hands, source, counters } = context;
  const [f] = part.tree.files;
  if (f === undefined) return;
  const path = fileAt(fd, f);
  if (f.contents !== undefined || isLarge(f)) {
    // Emptied first: where it has holes now, it may have had contents.
    const b = hands.batch();
    const opened = b.call(SYS.openat, AT_FDCWD, b.str(path), O.WRONLY | O.TRUNC | O.CLOEXEC, 0);
    const wrote = addContents(b, opened, f);
    const r = await b.run();
    check(r.value(opened), `opening ${part.root}`);
    wrote(r, part.root);
    counters.bytesCopied += f.contents?.length ?? 0;
  }
  if (isLarge(f)) {
    if (source === undefined) throw new DomainError('state', `the contents of ${part.root} are nowhere`);
    counters.bytesCopied += await copyFile(source, `/proc/self/fd/${part.held}`, hands, path, f.size);
  }
  await dressTree(hands, fd, { made: [], changed: [f] });
}

/** Mounts at its place, which is made where it is missing. */
async function attach(
  context: RestoreContext,
  state: MountsState,
  mounts: readonly Mount[],
  standing: Standing,
  m: Mount,
  fd: number,
): Promise<void> {
  const { hands, anchor } = context;
  const parent = mounts.find((x) => x.id === m.parent);
  const folder = parent === undefined ? undefined : standing.fds.get(parent.id);
  const path = parent === undefined ? undefined : below(m.point, parent.point);
  if (folder === undefined || path === undefined)
    throw new DomainError('mismatch', `what ${m.point} is mounted on is missing in ${hands.name}`, {
      resource: m.point,
    });
  const beneath = state.beneath.find((x) => x.id === m.id);
  if (beneath !== undefined && path !== '') {
    const own = await handsFd(hands, anchor.pid, folder);
    try {
      const [there] = await statAll(hands, own, [path]);
      if (there === undefined) await makePlace(context, own, path, beneath);
    } finally {
      await closeAll(hands, [own]);
    }
  }
  await moveTo(standing.anchor, fd, folder, path);
}

async function makePlace(
  { hands }: RestoreContext,
  fd: number,
  path: string,
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
): Promise<void> {
  await folders(hands, fd, path.split('/').slice(0, -1));
  const b = hands.batch();
  const isFolder = typeOf({ mode }) === S_IF.DIR;
  const made = isFolder
    ? b.call(SYS.mkdirat, fd, b.str(path), mode & 0o7777)
    : b.call(SYS.mknodat, fd, b.str(path), mode, 0);
  b.call(SYS.fchownat, fd, b.str(path), uid, gid, 0);
  check((await b.run()).value(made), `making ${path}`);
}

/** Makes file systems read-only that are, once they have their contents. By descriptors of the hands. */
export async function closeToWriting({ hands, objectFds }: RestoreContext, state: MountsState): Promise<void> {
  for (const f of state.own) {
    const fd = objectFds.get(treeKey(f.dev));
    if (fd === undefined || !f.options.includes('ro')) continue;
    const b = hands.batch();
    const picked = b.call(SYS.fspick, fd, b.str(''), FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
    const fs = check((await b.run()).value(picked), 'opening a file system');
    const c = hands.batch();
    c.call(SYS.fsconfig, fs, FSCONFIG.SET_FLAG, c.str('ro'), 0, 0);
    const done = c.call(SYS.fsconfig, fs, FSCONFIG.CMD_RECONFIGURE, 0, 0, 0);
    c.call(SYS.close, fs);
    check((await c.run()).value(done), 'making a file system read-only');
  }
}
