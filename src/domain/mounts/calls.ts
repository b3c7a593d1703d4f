/** Mounting, call by call, in the name of the domain's first process. */
import type { Batch, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_EMPTY_PATH, O } from '../linux/flags.js';
import { check, open } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, MOVE_MOUNT, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from './flags.js';
import type { SavedFileSystem } from './state.js';

/** Has the first process of the domain make one call. Throws `guest`. */
export async function ask(anchor: Tracee, what: string, add: (b: Batch) => Ref): Promise<number> {
  const b = anchor.batch();
  const ref = add(b);
  return check((await b.run()).value(ref), what);
}

/** A file system of a kind, mounted nowhere yet. */
export async function newFileSystem(
  tracee: Tracee,
  f: Pick<SavedFileSystem, 'type' | 'source' | 'options'>,
): Promise<number> {
  const b = tracee.batch();
  const made = b.call(SYS.fsopen, b.str(f.type), FSOPEN_CLOEXEC);
  const fs = check((await b.run()).value(made), `making a file system of type ${f.type}`);
  const c = tracee.batch();
  if (f.source !== '') c.call(SYS.fsconfig, fs, FSCONFIG.SET_STRING, c.str('source'), c.str(f.source), 0);
  for (const option of f.options) {
    const at = option.indexOf('=');
    if (option === 'rw' || option === 'ro' || option === '') continue;
    if (at < 0) c.call(SYS.fsconfig, fs, FSCONFIG.SET_FLAG, c.str(option), 0, 0);
    else c.call(SYS.fsconfig, fs, FSCONFIG.SET_STRING, c.str(option.slice(0, at)), c.str(option.slice(at + 1)), 0);
  }
  const created = c.call(SYS.fsconfig, fs, FSCONFIG.CMD_CREATE, 0, 0, 0);
  const mounted = c.call(SYS.fsmount, fs, FSMOUNT_CLOEXEC, 0);
  c.call(SYS.close, fs);
  const r = await c.run();
  check(r.value(created), `making a file system of type ${f.type}`);
  return check(r.value(mounted), `mounting a file system of type ${f.type}`);
}

export function moveTo(tracee: Tracee, fd: number, folder: number, path: string): Promise<number> {
  const flags = MOVE_MOUNT.F_EMPTY_PATH | (path === '' ? MOVE_MOUNT.T_EMPTY_PATH : 0);
  return ask(tracee, `mounting ${path}`, (b) => b.call(SYS.move_mount, fd, b.str(''), folder, b.str(path), flags));
}

export function cloneOf(tracee: Tracee, fd: number, path: string, what: string): Promise<number> {
  return ask(tracee, `binding ${what}`, (b) =>
    b.call(SYS.open_tree, fd, b.str(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH),
  );
}

/** A descriptor of the destination's hands for the top of a mount that the first process has a descriptor of. */
export const handsFd = (hands: Hands, pid: number, fd: number): Promise<number> =>
  open(hands, `/proc/${pid}/fd/${fd}`, O.PATH);
