/** Flags of files that chattr(1) sets. */
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { S_IF, typeOf } from '../files/inode.js';
import type { RestoreContext } from '../kinds/kind.js';
import { askAll } from '../linux/ask-all.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { boundKey, treeKey, wholeTree } from './bring.js';
import type { MountsState } from './state.js';
import { fileAt, type TreeFile } from './tree.js';

const FS_IOC_SETFLAGS = 0x40086602;
/** Where overlayfs keeps what nobody may change. */
const PROTECTED = 'trusted.overlay.protattr';

/** Gives files the flags they had, when nothing is written to them any more. */
export async function setFileFlags(context: RestoreContext, { own, bound }: MountsState): Promise<void> {
  const trees = [
    ...own.map((f) => ({ key: treeKey(f.dev), files: wholeTree(f).files })),
    ...bound.map((p) => ({ key: boundKey(p.id), files: p.tree.files })),
  ];
  for (const { key, files } of trees) {
    const fd = context.objectFds.get(key);
    const flagged = files.filter((f) => f.flags !== 0 && [S_IF.REG, S_IF.DIR].some((type) => type === typeOf(f)));
    if (fd === undefined) continue;
    await askAll(context.hands, flagged, 3, (b, f) => {
      const how = O.RDONLY | O.NONBLOCK | O.CLOEXEC;
      const opened = b.call(SYS.openat, AT_FDCWD, b.str(fileAt(fd, f)), how, 0);
      const flags = b.bytes(new Uint8Array(Int32Array.of(f.flags, 0).buffer));
      const set = b.call(SYS.ioctl, opened, FS_IOC_SETFLAGS, flags);
      b.call(SYS.close, opened);
      return (r) => check(r.value(set), `setting the flags of ${f.paths[0] ?? ''}`);
    });
  }
}

/** Throws `unsupported` for a file of a layer that nobody may change: the layer's root would not let it be opened again. */
export function refuseProtected(files: readonly TreeFile[]): void {
  for (const { attributes, paths } of files)
    if (attributes.some(([name]) => name === PROTECTED))
      throw unsupported('a file that is immutable or append-only, in a layer', `/${paths[0] ?? ''}`);
}
