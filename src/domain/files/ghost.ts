import type { Batch, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O } from '../linux/flags.js';
import { closeAll, making } from '../linux/making.js';
import { check, open } from '../linux/os.js';
import { writePieces, type Piece } from './extents.js';
import { dressInode, S_IF, S_IFMT, typeOf, type Inode } from './inode.js';

/** A file whose name is gone, and that is there as long as somebody holds it. Plain data. */
export interface Ghost extends Inode {
  /** The name it had. */
  readonly path: string;
  /** Never had a name, and may be given one: how it was opened (O_TMPFILE). */
  readonly nameless: number | undefined;
  /** A process executes it: nobody may have it open for writing. */
  readonly executed: boolean;
  /** Other names it still has. */
  readonly names: readonly string[];
  /** What it holds, where its pages are not exchanged. */
  readonly pieces: readonly Piece[];
}

/** Descriptors of the hands for a ghost that has been made. */
export interface MadeGhost {
  /** To read and write a regular file; for any other only its place. */
  readonly fd: number;
  /** Of a nameless file: the very description it was made with. */
  readonly maker: number | undefined;
}

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
/** Of an open nameless file; the folder flag comes with it. */
export const NAMELESS = O.TMPFILE;
/** Flags of an open file that only say how it was opened. */
const SETTLED = O.NOFOLLOW | O.CREAT | O.EXCL | O.TRUNC;

/**
 * Makes a ghost: a file of its name is made and the name taken away again, so that the kernel shows it as it showed the
 * original. What stands at the name now gives way for that moment. `root`: the domain's, as a path of the hands; ghosts of
 * one domain are made one after the other.
 */
export function makeGhost(hands: Hands, root: string, ghost: Ghost): Promise<MadeGhost> {
  return making(hands, async (note) => {
    const made = ghost.nameless === undefined ? undefined : await makeNameless(hands, root, ghost, ghost.nameless);
    const fd = note(made?.fd ?? (await makeNamed(hands, root, ghost)));
    if (made !== undefined) note(made.maker);
    if (typeOf(ghost) === S_IF.REG && ghost.names.length === 0)
      await writePieces(hands, fd, ghost.size, ghost.pieces, ghost.path);
    if (!ghost.executed) return { fd, maker: made?.maker };
    const reader = note(await open(hands, `/proc/self/fd/${fd}`, O.RDONLY));
    await closeAll(hands, [fd, made?.maker ?? -1]);
    return { fd: reader, maker: undefined };
  });
}

async function makeNameless(
  hands: Hands,
  root: string,
  ghost: Ghost,
  flags: number,
): Promise<{ fd: number; maker: number }> {
  const folder = ghost.path.slice(0, ghost.path.lastIndexOf('/') + 1);
  const maker = await open(hands, root + folder, (flags & ~SETTLED) | NAMELESS | O.DIRECTORY, 0o600);
  return making(hands, async (note) => {
    note(maker);
    await dressInode(hands, `/proc/self/fd/${maker}`, ghost, 'followed');
    return { fd: await open(hands, `/proc/self/fd/${maker}`, O.RDWR), maker };
  });
}

async function makeNamed(hands: Hands, root: string, ghost: Ghost): Promise<number> {
  const path = root + ghost.path;
  const folder = path.slice(0, path.lastIndexOf('/'));
  const b = hands.batch();
  // The folders that it lay in may be gone too.
  const folders: { readonly path: string; readonly made: Ref }[] = [];
  for (let slash = path.indexOf('/', root.length + 1); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const above = path.slice(0, slash);
    folders.push({ path: above, made: b.call(SYS.mkdirat, AT_FDCWD, b.str(above), 0o755) });
  }
  const stat = b.out(128);
  const parent = folder === root ? `${root}/` : folder;
  b.call(SYS.newfstatat, AT_FDCWD, b.str(parent), stat, 0);
  const spare = `${folder}/.${ghost.ino}.understudy`;
  const taken = b.out(128);
  const there = b.call(SYS.newfstatat, AT_FDCWD, b.str(path), taken, AT_SYMLINK_NOFOLLOW);
  const r = await b.run();
  const exchange = r.value(there) >= 0;
  const at = exchange ? spare : path;

  const c = hands.batch();
  const made = addMaking(c, root, at, ghost);
  const swapped = exchange
    ? c.call(SYS.renameat2, AT_FDCWD, c.str(spare), AT_FDCWD, c.str(path), RENAME_EXCHANGE)
    : undefined;
  const cr = await c.run();
  check(cr.value(made), `making ${ghost.path}`);
  const removed = typeOf(ghost) === S_IF.DIR ? AT_REMOVEDIR : 0;
  if (swapped !== undefined && cr.value(swapped) < 0) {
    const u = hands.batch();
    u.call(SYS.unlinkat, AT_FDCWD, u.str(spare), removed);
    await u.run();
    check(cr.value(swapped), `making way for ${ghost.path}`);
  }
  try {
    if (ghost.names.length === 0) await dressInode(hands, path, ghost);
    return await open(hands, path, typeOf(ghost) === S_IF.REG ? O.RDWR : O.PATH | O.NOFOLLOW);
  } finally {
    const d = hands.batch();
    d.must(SYS.unlinkat, AT_FDCWD, d.str(path), removed);
    if (exchange) d.call(SYS.renameat2, AT_FDCWD, d.str(spare), AT_FDCWD, d.str(path), RENAME_NOREPLACE);
    for (const f of [...folders].reverse())
      if (r.value(f.made) >= 0) d.call(SYS.unlinkat, AT_FDCWD, d.str(f.path), AT_REMOVEDIR);
    // A folder that stays shall not be seen to have changed.
    const last = folders.at(-1);
    if (last === undefined || r.value(last.made) < 0)
      d.call(SYS.utimensat, AT_FDCWD, d.str(parent), d.bytes(r.bytes(stat).slice(72, 104)), 0);
    await d.run();
  }
}

/** Adds the making of a file; answers the call that tells whether it was made. */
function addMaking(b: Batch, root: string, at: string, ghost: Ghost): Ref {
  const [name] = ghost.names;
  if (name !== undefined) return b.must(SYS.linkat, AT_FDCWD, b.str(root + name), AT_FDCWD, b.str(at), 0);
  switch (typeOf(ghost)) {
    case S_IF.DIR:
      return b.must(SYS.mkdirat, AT_FDCWD, b.str(at), 0o700);
    case S_IF.LNK:
      return b.must(SYS.symlinkat, b.str(ghost.target ?? ''), AT_FDCWD, b.str(at));
    default:
      return b.must(SYS.mknodat, AT_FDCWD, b.str(at), (ghost.mode & S_IFMT) | 0o600, ghost.rdev);
  }
}
