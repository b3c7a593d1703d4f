import { O } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { open } from '../../linux/os.js';
import { carriedPaths } from '../../memory/carried.js';
import { plant, plantOver } from '../../mounts/bring.js';
import { noticedFiles } from '../../mounts/noticed.js';
import { fileTime, TICKS } from '../../mounts/file-time.js';
import { refuseProtected } from '../../mounts/file-flags.js';
import { enterRoot, makeLayer, openLayer } from '../../mounts/own-root.js';
import type { SavedPart } from '../../mounts/state.js';
import { isSame, listTree, withContents, type FileTree } from '../../mounts/tree.js';
import { domainKind, type ForesightContext } from '../kind.js';

interface OwnRoot extends SavedPart {
  readonly at: bigint;
}

/** What a domain with a layer of its own over its root has written there; null: it has none. */
export const ownRoot = domainKind<OwnRoot | null>({
  name: 'own root',
  keeps:
    'all that a domain with a layer of its own over its root has written there: contents, owners, permissions, times, attributes, links, and what is deleted',
  refuses: 'files that are immutable or append-only (chattr) there',
  foresee: ({ anchor, ...context }) =>
    anchor.spec.layer !== true ? Promise.resolve(null) : firstLook({ anchor, ...context }),
  brings: (state, path) => state?.tree.files.some((f) => f.paths.includes(path.slice(1))) === true,
  async prepare(context, state) {
    const { anchor, hands } = context;
    if (state === null) return;
    await makeLayer(anchor);
    const fd = await openLayer(anchor);
    await whileOpen(hands, fd, () => plant(context, fd, undefined, state.tree, [state]));
    await enterRoot(anchor, anchor.spec.root ?? '/');
  },
  checkpoint(context) {
    const known = context.foreseen.get('own root') as OwnRoot | null | undefined;
    return known === null || known === undefined ? Promise.resolve(null) : look(context, known);
  },
  async restore(context, state) {
    const before = context.prepared.get('own root') as OwnRoot | null | undefined;
    if (state === null || before === null || before === undefined || before === state) return;
    const { hands, anchor } = context;
    const fd = await open(hands, `/proc/${anchor.pid}/root/`, O.PATH);
    await whileOpen(hands, fd, () => plantOver(context, fd, before.tree, state.tree, [state]));
  },
});

async function firstLook(context: ForesightContext): Promise<OwnRoot> {
  const { anchor, hold } = context;
  const held = await openLayer(anchor);
  hold(held);
  return look(context, { root: '/', held, flips: true, tree: { files: [], touched: [], noticed: [] }, at: 0n });
}

async function look(context: ForesightContext, known: OwnRoot): Promise<OwnRoot> {
  const { hands, views } = context;
  const { held } = known;
  const at = await fileTime(hands);
  const listed = await listTree(hands, held, '/', { known: { files: known.tree.files, at: known.at } });
  refuseProtected(listed.files);
  const open = new Set([...carriedPaths(views, () => false)].map((path) => path.slice(1)));
  const changing = (f: FileTree['files'][number]): boolean => f.ctime > at - TICKS || f.paths.some((p) => open.has(p));
  const touched = new Set([...known.tree.touched, ...listed.files.filter(changing).map((f) => f.ino)]);
  const old = new Map(known.tree.files.map((f) => [f.ino, f]));
  const tree = await withContents(hands, held, listed, (f) => {
    const before = old.get(f.ino);
    return before !== undefined && isSame(before, f) && !touched.has(f.ino);
  });
  const noticed = noticedFiles(tree.files, views);
  return { root: '/', held, at, flips: true, tree: { ...tree, touched: [...touched], noticed } };
}
