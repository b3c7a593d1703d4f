import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { inodeKey } from '../../files/inode.js';
import { check, statPath } from '../../linux/os.js';
import { processKind } from '../kind.js';

interface WorkingDirectory {
  readonly cwd: string;
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
      ghost: stat === undefined ? undefined : inodeKey(stat.dev, stat.ino),
      umask: view.status.umask,
    };
  },
  async restore(process, { cwd, ghost, umask }) {
    const { context, leader } = process;
    const made = ghost === undefined ? undefined : context.objectFds.get(ghost);
    if (ghost !== undefined && made === undefined) throw new DomainError('state', `${cwd} was not made`);
    const fd = made === undefined ? undefined : await process.fetch(made);
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
  stage: 'last',
  // Who shares it with another has it from there.
  checkpoint: ({ view }) => Promise.resolve(view.root === '/' || view.tables.fs !== view.pid ? undefined : view.root),
  async restore({ leader }, root) {
    if (root === undefined) return;
    const b = leader.batch();
    const changed = b.call(SYS.chroot, b.str(root));
    check((await b.run()).value(changed), `changing the root to ${root}`);
  },
});
