import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { inodeKey } from '../../files/inode.js';
import { O } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { check, open, statPath } from '../../linux/os.js';
import { partsOf } from '../../mounts/places.js';
import { processKind } from '../kind.js';

interface WorkingDirectory {
  readonly cwd: string;
  /** Where it is, if not at its name (mounts/places.ts). */
  readonly place: string | undefined;
  /** Key of a folder whose name is gone. */
  readonly ghost: string | undefined;
  readonly umask: number;
}

/** Where a process is, and what permissions it gives away. */
export const workingDirectory = processKind<WorkingDirectory>({
  name: 'working directory',
  keeps: 'working directory, also one that is gone; umask',
  stage: 'late',
  async checkpoint({ context, view }) {
    const stat = view.gone.cwd ? await statPath(context.hands, `/proc/${view.hostPid}/cwd`) : undefined;
    return {
      cwd: view.cwd,
      place: view.places?.cwd,
      ghost: stat === undefined ? undefined : inodeKey(stat.dev, stat.ino),
      umask: view.status.umask,
    };
  },
  async restore(process, { cwd, place, ghost, umask }) {
    const { context, leader } = process;
    const { hands, anchor, objectFds } = context;
    const made = ghost === undefined ? undefined : objectFds.get(ghost);
    if (ghost !== undefined && made === undefined) throw new DomainError('state', `${cwd} was not made`);
    const there =
      ghost === undefined && place !== undefined
        ? await open(hands, anchor.way(place), O.PATH | O.DIRECTORY)
        : undefined;
    const from = there ?? made;
    const fetch = async (): Promise<number | undefined> => (from === undefined ? undefined : process.fetch(from));
    const fd = await (there === undefined ? fetch() : whileOpen(hands, there, fetch));
    const b = leader.batch();
    const moved = fd === undefined ? b.call(SYS.chdir, b.str(cwd)) : b.call(SYS.fchdir, fd);
    b.call(SYS.umask, umask);
    check((await b.run()).value(moved), `changing to ${cwd}`);
  },
});

/** The root directory of a process (chroot(2)). Whatever is found by a path from the outermost root is found before. */
export const rootDirectory = processKind<string | undefined>({
  name: 'root directory',
  keeps: 'a root of its own',
  refuses: 'one in another mount namespace than its own, or that another mount covers there',
  stage: 'last',
  checkpoint({ view }) {
    // Who shares it with another has it from there.
    if (view.root === '/' || view.tables.fs !== view.pid) return Promise.resolve(undefined);
    return Promise.resolve(partsOf(view.places?.root ?? '')?.path ?? view.root);
  },
  async restore({ leader }, root) {
    if (root === undefined) return;
    const b = leader.batch();
    const changed = b.call(SYS.chroot, b.str(root));
    check((await b.run()).value(changed), `changing the root to ${root}`);
  },
});
