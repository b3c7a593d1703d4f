/**
 * Folders of a domain's own, in memory: what is written there is the domain's, and goes along with it. They are mounted
 * when the domain is made, over what its root has in their place.
 */
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { check } from '../linux/os.js';
import type { Anchor } from './anchor.js';

/** A folder that a domain has to itself, in memory that goes along with it. */
export interface OwnFolder {
  /** Absolute, as the domain sees it; it must be there. */
  readonly path: string;
  /** Permissions; as the folder in its place has them where its contents are taken over, else 0o755. */
  readonly mode?: number;
  /** It begins with what is in its place; false: empty. The names of what is left out, from the folder on, with `except`. */
  readonly contents: boolean | { readonly except: readonly string[] };
}

/** What a Debian system writes to, where its root cannot be written: all that lies outside of /usr but /etc and the homes. */
export const WRITABLE: readonly OwnFolder[] = [
  { path: '/run', contents: false },
  { path: '/tmp', mode: 0o1777, contents: false },
  { path: '/dev/shm', mode: 0o1777, contents: false },
  // What packages are installed is asked of the tree itself.
  { path: '/var', contents: { except: ['lib/dpkg', 'lib/apt', 'cache/apt', 'cache/debconf'] } },
];

/** Where a folder is filled before it takes its place. */
const STAGE = '/mnt';
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_MOVE = 0x2000;

/** Runs a program in the domain, as root, to its end. Throws unless it ends with status 0. */
export type RunBefore = (argv: readonly [string, ...string[]]) => Promise<void>;

/** Throws `state` for a folder that cannot be, `guest`. */
export async function makeFolders(anchor: Anchor, folders: readonly OwnFolder[], run: RunBefore): Promise<void> {
  // The empty ones first: what fills the others may need them.
  const sorted = [...folders].sort((a, b) => Number(a.contents !== false) - Number(b.contents !== false));
  for (const { path, mode = 0o755, contents } of sorted) {
    if (!path.startsWith('/') || path === '/' || path === STAGE)
      throw new DomainError('state', `${path} cannot be a folder of the domain's own`);
    const options = `mode=${mode.toString(8)}`;
    if (contents === false) {
      await mount(anchor, path, options);
      continue;
    }
    await mount(anchor, STAGE, options);
    const except = contents === true ? [] : contents.except;
    // The shell's arguments: where from, then what is left out. Contents of what is left out are not, the folder is.
    const leftOut = except.map((name) => `--exclude=./${name}/*`);
    await run(['/bin/sh', '-c', COPY, 'copy', path, ...leftOut]);
    const t = anchor.tracee.batch();
    const moved = t.call(SYS.mount, t.str(STAGE), t.str(path), t.str('none'), MS_MOVE, 0);
    check((await t.run()).value(moved), `putting a folder at ${path}`);
  }
}

/** tar keeps owners, modes, times, links and holes. */
const COPY = `from=$1; shift
set -e
tar -C "$from" "$@" -cSf - . | tar -C ${STAGE} -xpSf -`;

async function mount(anchor: Anchor, path: string, options: string): Promise<void> {
  const t = anchor.tracee.batch();
  const mounted = t.call(SYS.mount, t.str('own'), t.str(path), t.str('tmpfs'), MS_NOSUID | MS_NODEV, t.str(options));
  check((await t.run()).value(mounted), `mounting a folder of the domain's own at ${path}`);
}
