/**
 * A root of the domain's own: a tree of the OS instance below a layer for what the domain writes (overlayfs). The layer is
 * a tmpfs that is mounted nowhere; the domain's first process holds it open.
 */
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_EMPTY_PATH, AT_FDCWD, O } from '../linux/flags.js';
import { check, open, readText } from '../linux/os.js';
import type { Anchor } from '../tree/anchor.js';
import { ask, moveTo, newFileSystem } from './calls.js';
import { MNT_DETACH, OPEN_TREE_CLOEXEC, UNSEEN } from './flags.js';
import { parseMountinfo } from './mountinfo.js';

/** Where the layer is mounted for as long as it takes to mount the root. */
const PLACE = '/proc';
/** What the root has from the OS instance, with all that is mounted below. */
const MOVED = ['dev', 'sys', 'proc'];

/** Makes the layer, empty. */
export async function makeLayer(anchor: Anchor): Promise<void> {
  const { tracee } = anchor;
  anchor.layer = await newFileSystem(tracee, { type: 'tmpfs', source: 'layer', options: [] });
  const b = tracee.batch();
  const made = ['upper', 'work'].map((name) => b.call(SYS.mkdirat, anchor.layer, b.str(name), 0o755));
  // The root has times as it is mounted itself; this is how we look into it.
  const unseen = b.call(SYS.mount_setattr, anchor.layer, b.str(''), AT_EMPTY_PATH, b.bytes(UNSEEN), UNSEEN.length);
  const r = await b.run();
  for (const n of [...made, unseen]) check(r.value(n), 'making a layer');
}

/** What has been written, as a descriptor of the hands for its folder. */
export function openLayer({ hands, pid, layer }: Anchor): Promise<number> {
  return open(hands, `/proc/${pid}/fd/${layer}/upper`, O.PATH | O.DIRECTORY);
}

/** Mounts the root and has the first process enter it; who is born after that is in it. `root`: a folder of the OS instance. */
export async function enterRoot(anchor: Anchor, root: string): Promise<void> {
  const { tracee, hands, pid } = anchor;
  if (!root.startsWith('/') || /[:\\,]/.test(root)) throw new DomainError('state', `${root} cannot be a root`);
  const old = await ask(tracee, 'opening the root', (b) =>
    b.call(SYS.openat, AT_FDCWD, b.str('/'), O.PATH | O.CLOEXEC, 0),
  );
  await moveTo(tracee, anchor.layer, AT_FDCWD, PLACE);
  const options = [`lowerdir=${root}`, `upperdir=${PLACE}/upper`, `workdir=${PLACE}/work`, 'index=off', 'metacopy=off'];
  const mounted = await newFileSystem(tracee, { type: 'overlay', source: 'root', options });
  await ask(tracee, 'leaving the layer', (b) => b.call(SYS.umount2, b.str(PLACE), MNT_DETACH));
  await moveTo(tracee, mounted, old, '');
  for (const name of MOVED) {
    const b = tracee.batch();
    b.call(SYS.mkdirat, mounted, b.str(name), 0o755);
    await b.run();
    const fd = await ask(tracee, `finding /${name}`, (q) => q.call(SYS.open_tree, old, q.str(name), OPEN_TREE_CLOEXEC));
    await moveTo(tracee, fd, mounted, name);
    await ask(tracee, 'closing a mount', (q) => q.call(SYS.close, fd));
  }
  await ask(tracee, 'entering the root', (b) => b.call(SYS.fchdir, mounted));
  await ask(tracee, 'entering the root', (b) => b.call(SYS.chroot, b.str('.')));
  const b = tracee.batch();
  for (const fd of [old, mounted]) b.call(SYS.close, fd);
  await b.run();
  anchor.mounts = parseMountinfo((await readText(hands, `/proc/${pid}/mountinfo`)) ?? '');
}

/** As {@link makeLayer} and {@link enterRoot}, for a domain that has written nothing yet. */
export async function beginRoot(anchor: Anchor, root: string): Promise<void> {
  await makeLayer(anchor);
  // The root's own folder is the layer's: it shall be as the tree's.
  const b = anchor.hands.batch();
  const stat = b.out(128);
  const looked = b.call(SYS.newfstatat, AT_FDCWD, b.str(root), stat, 0);
  const r = await b.run();
  check(r.value(looked), `looking at ${root}`);
  const [mode = 0, uid = 0, gid = 0] = [16, 24, 28].map((at) => r.view(stat).getUint32(at, true));
  const c = anchor.tracee.batch();
  const upper = c.str('upper');
  c.call(SYS.fchownat, anchor.layer, upper, uid, gid, 0);
  c.call(SYS.fchmodat, anchor.layer, upper, mode & 0o7777);
  await c.run();
  await enterRoot(anchor, root);
}

/** Mounts a folder of the domain's own at a path, which is made if it is missing. */
export async function beginData(anchor: Anchor, path: string): Promise<void> {
  const { tracee } = anchor;
  const b = tracee.batch();
  for (let slash = path.indexOf('/', 1); ; slash = path.indexOf('/', slash + 1)) {
    b.call(SYS.mkdirat, AT_FDCWD, b.str(slash < 0 ? path : path.slice(0, slash)), 0o755);
    if (slash < 0) break;
  }
  const none = b.str('data');
  const mounted = b.call(SYS.mount, none, b.str(path), b.str('tmpfs'), 0, b.str('mode=755'));
  check((await b.run()).value(mounted), `mounting ${path}`);
}
