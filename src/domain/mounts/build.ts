import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { S_IF, typeOf } from '../files/inode.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_EMPTY_PATH, AT_FDCWD, O } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import { bring, fill, folders, hold, treeKey } from './bring.js';
import { ask, cloneOf, handsFd, moveTo, newFileSystem } from './calls.js';
import { entering, holdRoot, makeSpaces, watchTree } from './enter.js';
import { FSCONFIG, FSPICK_CLOEXEC, FSPICK_EMPTY_PATH, MNT_DETACH, mountAttributes } from './flags.js';
import { below, type Mount } from './mountinfo.js';
import { isCovered, mountOrder } from './order.js';
import { copiesOf, type MountSpace } from './spaces.js';
import { spread } from './spread.js';
import { inherited, placeOf, type MountsState } from './state.js';
import { statAll } from './tree.js';

/** Where mounts are gathered until they go to their places: a folder that is there for sure, the domain's own `/proc`. */
const YARD = '/proc';

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

  const yard = keep(await newFileSystem(tracee, { type: 'tmpfs', source: 'none', options: [] }));
  await moveTo(tracee, yard, AT_FDCWD, YARD);
  const systems = new Map<string, number>();
  for (const f of state.own) {
    const fd = keep(await newFileSystem(tracee, f));
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
    if (isCovered(m, mounts)) continue;
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

function attributes(tracee: Tracee, fd: number, m: Mount): Promise<number> {
  return ask(tracee, `giving ${m.point} its flags`, (b) =>
    b.call(SYS.mount_setattr, fd, b.str(''), AT_EMPTY_PATH, b.bytes(mountAttributes(m.flags)), 32),
  );
}

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
