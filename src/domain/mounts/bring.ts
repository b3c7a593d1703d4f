/** What file systems of a domain hold, brought to the destination. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { S_IF, typeOf } from '../files/inode.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import { roomFor } from '../memory/flipped-files.js';
import { handsFd } from './calls.js';
import { copyFile } from './copy-file.js';
import { addContents, compareTrees, dressTree, plantTree, type Difference } from './plant.js';
import type { SavedFileSystem, SavedPart } from './state.js';
import { fileAt, isLarge, joined, listTree, type FileTree, type TreeFile } from './tree.js';

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

/** Fills a file system that is mounted nowhere yet. `mounted`: a descriptor of the first process. */
export async function fill(context: RestoreContext, f: SavedFileSystem, mounted: number): Promise<void> {
  const { hands, anchor } = context;
  const fd = await handsFd(hands, anchor.pid, mounted);
  hold(context, treeKey(f.dev), fd);
  for (const { root } of f.parts) await folders(hands, fd, root.slice(1).split('/').slice(0, -1));
  await plant(context, fd, undefined, wholeTree(f), f.parts);
}

/** Notes a descriptor of the hands until the restoration is over. */
export function hold({ hands, objectFds, undo }: RestoreContext, key: string, fd: number): void {
  objectFds.set(key, fd);
  undo.add('closing a file system of the domain', async () => {
    if (!objectFds.delete(key)) return;
    await closeAll(hands, [fd]);
  });
}

/** Makes folders in each other, as far as they are missing. */
export async function folders(hands: Hands, fd: number, names: readonly string[]): Promise<void> {
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

/** Brings a file or folder of the OS instance along that the domain has made: what stood there before is replaced. */
export async function bring(
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
