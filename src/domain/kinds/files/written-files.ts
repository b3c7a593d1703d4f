import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { bytesOf } from '../../files/extents.js';
import { S_IF, setTimes, typeOf, type Inode } from '../../files/inode.js';
import {
  foldersOf,
  putFolders,
  putLiving,
  readContents,
  withPlaces,
  type Folder,
  type Living,
} from '../../files/living.js';
import { namesOf } from '../../files/names.js';
import { AT_FDCWD } from '../../linux/flags.js';
import { askAll } from '../../linux/ask-all.js';
import { carriedPaths } from '../../memory/carried.js';
import { watchSpaces } from '../../mounts/written-elsewhere.js';
import { holdWatch, readWritten } from '../../mounts/written.js';
import { together } from '../../together.js';
import { domainKind, type ForesightContext, type LookContext, type RestoreContext } from '../kind.js';

/** Bytes of all of them together that are copied. */
const MOST_COPIED = 512 * 2 ** 20;

interface WrittenFiles {
  /** A descriptor of the source's hands that tells what is written. */
  readonly watch: number;
  readonly folders: readonly Folder[];
  readonly living: readonly Living[];
  /** Names of those that have not changed since they were foreseen: without contents. */
  readonly same: readonly string[];
  /** Those that may change without being closed, as they are open or mapped. */
  readonly open: readonly string[];
  /** Names that led to something the domain had written and do not any more. */
  readonly gone: readonly string[];
}

/**
 * Files that the domain has written and closed on file systems that it shares with its OS instance. They are copied before
 * the freeze, and what has changed since in the pause.
 */
export const writtenFiles = domainKind<WrittenFiles>({
  name: 'written files',
  keeps:
    'files that the domain has written and closed outside of a file system of its own: contents, owner, permissions, times, attributes, hard links; that they were renamed or deleted',
  refuses: 'more than 512 MiB of them, or more than can be followed',
  async foresee(context) {
    const { hands, anchor, hold } = context;
    const watch = await holdWatch(hands, anchor.pid, anchor.written);
    hold(watch);
    await watchSpaces(context, watch);
    // What is open goes along later: to read it now would be told to who watches it, and would break a lease of it.
    return take(context, watch, undefined, new Set(carriedPaths(context.views, () => false)));
  },
  brings: ({ living, folders }, path) =>
    living.some((l) => l.path === path || l.names.includes(path)) || folders.some((f) => f.path === path),
  async prepare(context, state) {
    await put(context, state);
  },
  async checkpoint(context) {
    const foreseen = context.foreseen.get('written files') as WrittenFiles | undefined;
    if (foreseen === undefined) return NOTHING;
    await watchSpaces(context, foreseen.watch);
    return take(context, foreseen.watch, foreseen, new Set(carriedPaths(context.views, context.brought)));
  },
  async restore(context, state) {
    if (context.prepared.get('written files') !== state) await put(context, state);
    const { hands, anchor } = context;
    for (const name of state.living.flatMap((l) => [l.path, ...l.names])) anchor.written.names.add(name);
    await askAll(hands, state.gone, 1, (b, name) => {
      b.call(SYS.unlinkat, AT_FDCWD, b.str(rootOf(context) + name), 0);
      return () => undefined;
    });
  },
  async finish(context, { living }) {
    await together(living.map((l) => setTimes(context.hands, rootOf(context) + l.path, l.inode, false)));
  },
});

const NOTHING: WrittenFiles = { watch: -1, folders: [], living: [], same: [], open: [], gone: [] };

const rootOf = ({ anchor }: Pick<LookContext, 'anchor'>): string => `/proc/${anchor.pid}/root`;

/** `elsewhere`: names of those that go along as open files. */
async function take(
  context: ForesightContext,
  watch: number,
  known: WrittenFiles | undefined,
  elsewhere: ReadonlySet<string>,
): Promise<WrittenFiles> {
  const { hands, anchor, views } = context;
  const { names, fresh } = await readWritten(hands, anchor.pid, anchor.written, watch);
  const all = [...new Set([...names, ...anchor.written.names])].filter((name) => !elsewhere.has(name));
  if (all.length === 0) return { ...NOTHING, watch };
  const open = [...carriedPaths(views, () => false)];
  const changing = new Set([...fresh, ...open, ...(known?.open ?? [])]);
  const before = new Map(known?.living.map((l) => [l.path, l.inode]));
  const root = rootOf(context);
  const same: string[] = [];
  const gone = new Set(all);
  const living = await withPlaces(hands, root, all, (places) => {
    for (const { path } of places) gone.delete(path);
    const files = places.filter(({ inode }) => typeOf(inode) === S_IF.REG);
    const once = [...new Map(files.map((f) => [f.inode.key, f])).values()];
    if (once.reduce((n, { inode }) => n + inode.blocks * 512, 0) > MOST_COPIED)
      throw unsupported('more than 512 MiB of written files', 'the domain');
    return together(
      once.map(async ({ path, fd, inode }): Promise<Living> => {
        const names = inode.nlink === 1 ? [] : (await namesOf(context, inode, path)).filter((n) => n !== path);
        const old = before.get(path);
        if (old !== undefined && isSame(old, inode) && ![path, ...names].some((n) => changing.has(n))) {
          same.push(path);
          return { path, inode, pieces: [], names };
        }
        return { path, inode, pieces: await readContents(hands, fd, inode, path), names };
      }),
    );
  });
  const folders = await foldersOf(
    hands,
    root,
    living.flatMap((l) => [l.path, ...l.names]),
  );
  return { watch, folders, living, same, open, gone: [...gone] };
}

/** All that is known of a file is as it was, but for when it was last read. */
function isSame(a: Inode, b: Inode): boolean {
  const facts = ({ key, mode, nlink, uid, gid, size, blocks, times, xattrs }: Inode): string =>
    JSON.stringify([
      key,
      mode,
      nlink,
      uid,
      gid,
      size,
      blocks,
      [...times.subarray(16)],
      xattrs.map((x) => [x.name, [...x.value]]),
    ]);
  return facts(a) === facts(b);
}

async function put(context: RestoreContext, { folders, living, same }: WrittenFiles): Promise<void> {
  const { hands, counters } = context;
  const root = rootOf(context);
  const kept = new Set(same);
  await putFolders(hands, root, folders);
  const changed = living.filter((l) => !kept.has(l.path));
  await together(changed.map((l) => putLiving(hands, root, l)));
  counters.bytesCopied += changed.reduce((n, { pieces }) => n + bytesOf(pieces), 0);
}
