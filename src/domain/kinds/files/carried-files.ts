import { SYS } from '../../../guest/hands/syscalls.js';
import { bytesOf, readPieces, type Piece } from '../../files/extents.js';
import { makeGhost, type Ghost } from '../../files/ghost.js';
import { lookAtInode, S_IF, setTimes, typeOf, type Inode } from '../../files/inode.js';
import {
  foldersOf,
  noteCarried,
  putFolders,
  putLiving,
  readContents,
  readThrough,
  withPlaces,
  type Folder,
  type Holder,
  type Living,
} from '../../files/living.js';
import { namesOf } from '../../files/names.js';
import { ghostPlaces, type GhostPlace } from '../../files/places.js';
import { unsupported } from '../../errors.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { askAll } from '../../linux/ask-all.js';
import { closeAll, making, whileOpen } from '../../linux/making.js';
import { check, open } from '../../linux/os.js';
import { carriedPaths, isOrdinary } from '../../memory/carried.js';
import { addObject } from '../../memory/objects.js';
import { locksOf } from '../../proc/locks.js';
import type { ProcessView } from '../../proc/survey.js';
import { together } from '../../together.js';
import { domainKind, type CheckpointContext, type LookContext } from '../kind.js';

/** Bytes of a file on a disk that are copied while the domain stands still. */
const MOST_COPIED = 256 * 2 ** 20;

interface Found {
  readonly place: GhostPlace;
  readonly inode: Inode;
}

interface CarriedFiles {
  readonly folders: readonly Folder[];
  readonly living: readonly Living[];
  readonly ghosts: readonly Ghost[];
}

/**
 * Files that the domain may have written, and those whose names are gone. They are made before anything is mapped or
 * opened; of the latter `context.objectFds` then has a descriptor each, by its key.
 */
export const carriedFiles = domainKind<CarriedFiles>({
  name: 'contents of files',
  keeps:
    'what is open for writing or mapped shared and writable: contents with holes, owner, permissions, times, attributes, hard links; deleted files, folders, FIFOs, device nodes, links and programs; files that never had a name',
  refuses:
    'a deleted root directory; a file whose other names are not found; more than 256 MiB of a file that are to be copied',
  async describe(context) {
    const { hands, views } = context;
    for (const view of views) if (view.gone.root) throw unsupported('a deleted root directory', `process ${view.pid}`);
    await together([
      withGhosts(context, async (found) => {
        for (const f of found)
          if (isCopied(f) && f.inode.blocks * 512 > MOST_COPIED)
            throw unsupported('a large deleted file', f.place.path);
        await together(found.map((f) => otherNames(context, f)));
      }),
      withPlaces(hands, rootOf(context), [...carriedPaths(views, () => false)], async (living) => {
        for (const { path, inode } of living) {
          if (typeOf(inode) !== S_IF.REG) continue;
          if (inode.blocks * 512 > MOST_COPIED) throw unsupported('a large file that is written', path);
          if (inode.nlink > 1) await namesOf(context, inode, path);
        }
      }),
    ]);
  },
  async checkpoint(context) {
    const { hands, views, brought, lacking } = context;
    const root = rootOf(context);
    const leased = writeLeases(views);
    const takeAll = (paths: readonly string[]): Promise<Living[]> =>
      withPlaces(hands, root, paths, (places) =>
        together(
          places
            .filter(({ inode }) => typeOf(inode) === S_IF.REG)
            .map(async ({ path, fd, inode }) => {
              const [pieces, names] = await together([
                leased.has(path)
                  ? readThrough(hands, leased.get(path) ?? NOBODY, inode, path)
                  : readContents(hands, fd, inode, path),
                inode.nlink === 1 ? [] : namesOf(context, inode, path),
              ]);
              noteCarried(hands, path);
              return { path, inode, pieces, names: names.filter((n) => n !== path) };
            }),
        ),
      );
    const [ghosts, living] = await together([
      withGhosts(context, (found) => together(found.map((f) => checkpointGhost(context, f))), true),
      takeAll([...new Set([...carriedPaths(views, brought), ...lacking])]),
    ]);
    const keys = new Set(living.map((l) => l.inode.key));
    const linked = ghosts.flatMap((g) => (keys.has(g.key) ? [] : g.names.slice(0, 1).filter((n) => !brought(n))));
    const all = linked.length === 0 ? living : [...living, ...(await takeAll(linked))];
    const folders = await foldersOf(hands, root, [
      ...all.flatMap((l) => [l.path, ...l.names]),
      ...views.filter((v) => !v.gone.cwd && !brought(v.cwd)).map((v) => `${v.cwd}/`),
      ...views.filter((v) => !brought(v.root)).map((v) => `${v.root}/`),
      ...views.flatMap((v) => v.descriptors.filter((d) => isOrdinary(d) && !brought(d.link)).map((d) => d.link)),
    ]);
    return { folders, living: all, ghosts };
  },
  async restore(context, { folders, living, ghosts }) {
    const { hands, anchor, objectFds, counters } = context;
    const root = rootOf(context);
    await putFolders(hands, root, folders);
    // A file that has several names has come along by each that is used.
    const byKey = new Map(living.map((l) => [l.inode.key, l]));
    await together([...byKey.values()].map((l) => putLiving(hands, root, l)));
    // One after the other: they may have had the same name.
    for (const ghost of ghosts) {
      const [at, path] = anchor.parts(ghost.path);
      const names = ghost.names.map((n) => anchor.parts(n)[1]);
      const made = await makeGhost(hands, at, { ...ghost, path, names });
      objectFds.set(ghost.key, made.fd);
      if (made.maker !== undefined) objectFds.set(makerKey(ghost.key), made.maker);
    }
    counters.bytesCopied += [...living, ...ghosts].reduce((n, { pieces }) => n + bytesOf(pieces), 0);
  },
  async finish(context, { living, ghosts }) {
    const { hands, objectFds } = context;
    await together([
      ...living.map((l) => setTimes(hands, rootOf(context) + l.path, l.inode, false)),
      ...ghosts.map((g) => setTimes(hands, `/proc/self/fd/${objectFds.get(g.key) ?? -1}`, g, true)),
    ]);
  },
});

/** Who has a write lease of a file: anybody else who opened the file would break it. */
function writeLeases(views: readonly ProcessView[]): Map<string, Holder> {
  const out = new Map<string, Holder>();
  for (const { hostPid, descriptors } of views) {
    for (const d of descriptors.filter((x) => x.info.locked)) {
      if (locksOf(d.info, d.link).some((l) => l.kind === 'lease' && l.type === 'write'))
        out.set(d.link, { hostPid, fd: d.fd });
    }
  }
  return out;
}

const NOBODY: Holder = { hostPid: -1, fd: -1 };

/** The domain's root, as a path of the hands. */
const rootOf = ({ anchor }: Pick<LookContext, 'anchor'>): string => `/proc/${anchor.pid}/root`;

/** Where `objectFds` has the very description that a nameless file was made with. */
export const makerKey = (key: string): string => `${key} maker`;

/** Whether the contents of a ghost are copied, not exchanged. Those of a program may not be written any more. */
const isCopied = ({ place, inode }: Found): boolean =>
  typeOf(inode) === S_IF.REG && inode.nlink === 0 && (!inode.inMemory || place.executed);

/** Looks at each ghost once, with a descriptor of the hands for as long as `work` takes. */
async function withGhosts<T>(
  { hands, views }: LookContext,
  work: (found: readonly (Found & { readonly fd: number })[]) => Promise<T>,
  frozen = false,
): Promise<T> {
  const places = ghostPlaces(views);
  if (places.length === 0) return work([]);
  const fds = await askAll(hands, places, 1, (b, { through }) => {
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(through), O.PATH | O.CLOEXEC, 0);
    return (r) => r.value(fd);
  });
  try {
    const looked = await together(
      places.map(async (place, i) => {
        const fd = check(fds[i] ?? -1, `finding ${place.path}`);
        return { place, fd, inode: await lookAtInode(hands, fd, place.path, frozen) };
      }),
    );
    const found = new Map<string, Found & { fd: number }>();
    for (const one of looked) {
      const before = found.get(one.inode.key);
      const nameless = before?.place.nameless ?? one.place.nameless;
      const executed = before?.place.executed === true || one.place.executed;
      found.set(one.inode.key, { ...one, place: { ...one.place, nameless, executed } });
    }
    return await work([...found.values()]);
  } finally {
    await closeAll(hands, fds);
  }
}

/** The names a ghost still has. Throws `unsupported` if they are not found. */
async function otherNames(context: LookContext, { inode, place }: Found): Promise<readonly string[]> {
  const isFolder = typeOf(inode) === S_IF.DIR;
  if (inode.nlink === 0 || isFolder) return [];
  return namesOf(context, inode, place.path);
}

async function checkpointGhost(context: CheckpointContext, found: Found & { readonly fd: number }): Promise<Ghost> {
  const { hands, objects } = context;
  const { place, inode, fd } = found;
  const [names, pieces] = await together([otherNames(context, found), contents()]);
  const neverNamed = inode.nlink === 0 && place.path.endsWith(`/#${inode.ino}`) && typeOf(inode) === S_IF.REG;
  const nameless = place.nameless ?? (neverNamed ? O.RDWR : undefined);
  return { ...inode, path: place.path, nameless, executed: place.executed, names, pieces };

  async function contents(): Promise<readonly Piece[]> {
    if (typeOf(inode) !== S_IF.REG || inode.nlink > 0) return [];
    const own = await open(hands, `/proc/self/fd/${fd}`, O.RDONLY | O.NOATIME);
    if (isCopied(found)) return whileOpen(hands, own, () => readPieces(hands, own, inode.size, place.path));
    return making(hands, async (note) => {
      note(own);
      await addObject(hands, own, place.path, objects);
      return [];
    });
  }
}
