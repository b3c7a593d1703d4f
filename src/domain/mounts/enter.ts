/** The first process of a domain goes from one of its mount namespaces to another, as long as they are being built. */
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import type { RestoreContext } from '../kinds/kind.js';
import { AT_FDCWD, CLONE, O } from '../linux/flags.js';
import { check, open, readLinks } from '../linux/os.js';
import { mnt } from '../spaces/mnt.js';
import { keepSpace, makeSpace } from '../spaces/make.js';
import { spaceKey } from '../spaces/space.js';
import { HANDS_FD } from '../tree/anchor.js';
import { ask, handsFd } from './calls.js';
import { withFiles } from './contents.js';
import type { Mount } from './mountinfo.js';
import type { MountSpace } from './spaces.js';
import type { MountsState } from './state.js';
import { addMark, FAN_MARK_MOUNT } from './watch.js';

/** Makes the namespaces, copies of the domain's own as it is now. */
export async function makeSpaces(context: RestoreContext, { spaces }: MountsState): Promise<void> {
  const { hands, anchor } = context;
  for (const { link } of spaces)
    keepSpace(context, spaceKey(link), await makeSpace(hands, mnt, `/proc/${anchor.pid}/ns/mnt`));
}

/** Answers how the first process gets into the namespace that a mount is in; each time anew, to the uppermost root there is. */
export function entering(
  context: RestoreContext,
  trees: readonly { readonly mounts: readonly Mount[]; readonly space: MountSpace | undefined }[],
): (m: Mount) => Promise<void> {
  const { hands, anchor, objectFds } = context;
  if (trees.length === 1) return () => Promise.resolve();
  let own: Promise<number> | undefined;
  return async (m) => {
    const tree = trees.find(({ mounts }) => mounts.some((x) => x.id === m.id));
    own ??= open(hands, `/proc/${anchor.pid}/ns/mnt`, O.RDONLY).then((fd) => {
      keepSpace(context, OWN, fd);
      return fd;
    });
    const home = await own;
    const fd = tree?.space === undefined ? home : objectFds.get(spaceKey(tree.space.link));
    if (fd === undefined) throw new DomainError('state', 'a mount namespace was not made');
    const b = anchor.tracee.batch();
    const got = b.call(SYS.pidfd_getfd, HANDS_FD, fd, 0);
    const entered = b.call(SYS.setns, got, CLONE.NEWNS);
    b.call(SYS.close, got);
    const r = await b.run();
    check(r.value(entered), 'entering a mount namespace');
  };
}
const OWN = 'own mount namespace';

/** Notes the root of the namespace that the first process is in, as a descriptor of the hands. */
export async function holdRoot(context: RestoreContext, { link }: MountSpace): Promise<void> {
  const { hands, anchor } = context;
  const fd = await ask(anchor.tracee, 'opening the root of a mount namespace', (b) =>
    b.call(SYS.openat, AT_FDCWD, b.str('/'), O.PATH | O.DIRECTORY | O.CLOEXEC, 0),
  );
  const root = await handsFd(hands, anchor.pid, fd);
  keepSpace(context, `root of ${link}`, root);
  await anchor.tracee.syscall(SYS.close, fd);
  anchor.roots.set(link, `/proc/self/fd/${root}`);
}

/** Watches what is written in the namespace that the first process is in, as in its own. */
export async function watchTree(
  { hands, anchor, objectFds }: RestoreContext,
  { own }: MountsState,
  { link, mounts }: MountSpace,
): Promise<void> {
  const { tracee, written } = anchor;
  if (written.watch < 0) return;
  const b = tracee.batch();
  const brought = new Set(own.map((f) => f.dev));
  for (const { point } of withFiles(mounts.filter((m) => !brought.has(m.dev))))
    addMark(b, written.watch, FAN_MARK_MOUNT, point);
  if (b.length > 0) await b.run();
  const [here] = await readLinks(hands, [`/proc/self/fd/${objectFds.get(spaceKey(link)) ?? -1}`]);
  if (here !== undefined) written.spaces.add(here);
}
