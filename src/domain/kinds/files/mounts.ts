import { S_IF, typeOf } from '../../files/inode.js';
import { boundKey, plant, rewriteFile, treeKey, wholeTree } from '../../mounts/bring.js';
import { buildMounts, closeToWriting } from '../../mounts/build.js';
import { setFileFlags } from '../../mounts/file-flags.js';
import { lookAtMounts, readMounts } from '../../mounts/look.js';
import { isOwn, layoutKey, type MountsState } from '../../mounts/state.js';
import { refuseUnmounted } from '../../mounts/unmounted.js';
import { domainKind, type RestoreContext } from '../kind.js';

/** What the domain has mounted, and what it has changed of what was mounted before; null: nothing. */
export const mounts = domainKind<MountsState | null>({
  name: 'mounts',
  keeps:
    'tmpfs and ramfs with all that they hold (of files’ flags: immutable, append-only, no dump), bind mounts, proc, sysfs and the like, in their order; flags, what is unmounted, how mounts spread',
  refuses:
    'mounts of other file systems, of deleted files, over the root directory; file names that are not UTF-8; an open file of what is unmounted; what a mount covers',
  describe: async (context) => refuseUnmounted(context, await readMounts(context)),
  foresee: (context) => lookAtMounts(context),
  brings: (state, path) => state !== null && isOwn(state, path),
  fits: (before, now) => (before === null || now === null ? before === now : layoutKey(before) === layoutKey(now)),
  async prepare(context, state) {
    if (state !== null) await buildMounts(context, state);
  },
  checkpoint: (context) => lookAtMounts(context, context.foreseen.get('mounts') as MountsState | null | undefined),
  async restore(context, state) {
    const before = context.prepared.get('mounts') as MountsState | null | undefined;
    if (state !== null && before !== null && before !== undefined && before !== state)
      await bringUpToDate(context, before, state);
  },
  async finish(context, state) {
    if (state === null) return;
    await setFileFlags(context, state);
    await closeToWriting(context, state);
  },
});

/** What has changed in file systems of the domain's own since they were prepared. */
async function bringUpToDate(context: RestoreContext, before: MountsState, now: MountsState): Promise<void> {
  const { objectFds } = context;
  for (const [i, f] of now.own.entries()) {
    const [fd, old] = [objectFds.get(treeKey(f.dev)), before.own[i]];
    if (fd !== undefined && old !== undefined) await plant(context, fd, wholeTree(old), wholeTree(f), f.parts);
  }
  for (const [i, p] of now.bound.entries()) {
    const [fd, old] = [objectFds.get(boundKey(p.id)), before.bound[i]];
    if (fd === undefined || old === undefined) continue;
    const [top] = p.tree.files;
    if (top !== undefined && typeOf(top) !== S_IF.DIR) await rewriteFile(context, fd, p);
    else await plant(context, fd, old.tree, p.tree, [p]);
  }
}
