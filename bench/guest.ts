/** The guests: the same programs in the same user space on every processor. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { appletNames } from '../src/image/busybox.js';
import { busyboxLinks, guestFiles } from '../src/image/guestfiles.js';
import { buildCpio, type CpioEntry } from '../src/image/index.js';
import type { TarEntry } from '../src/image/tar.js';
import { BenchError } from './errors.js';
import type { Packages } from './packages.js';
import { PROGRAMS } from './programs.js';

/** What a machine boots: the same for all machines with the same processor. */
export interface GuestFiles {
  /** Paths. */
  readonly kernel: string;
  readonly initramfs: string;
  readonly mebibytes: number;
  /** Boot arguments, without the console. */
  readonly arguments: string;
}

/** Memory of every guest. */
export const MEBIBYTES = 256;

/** Without the self-tests of the kernel's ciphers and of its jitter source, which are no user's work. */
export const BOOT_ARGUMENTS = 'quiet cryptomgr.notests=1 initcall_blacklist=jent_mod_init';

/** The executable with all programs; /init runs the runner in place of a shell. */
export function runnerFiles(executable: string): CpioEntry[] {
  return [
    { path: 'bench/bench', mode: 0o755, data: readFileSync(executable) },
    { path: 'etc/understudy/run', mode: 0o644, data: 'exec /bench/bench\n' },
  ];
}

/** Debian's packages behind the programs that are Debian's. */
export async function debianPackages(packages: Packages): Promise<string[]> {
  const names = new Set(PROGRAMS.flatMap((program) => program.packages ?? []));
  // python3-minimal is a name for the present version's package, whose library is not counted among the libraries.
  for (const dependency of (await packages.show('python3-minimal')).flatMap((record) => record.depends)) {
    if (/^python3\.\d+-minimal$/.test(dependency)) names.add(dependency).add(`lib${dependency}`);
  }
  return [...names].sort();
}

export interface Userland {
  /** Paths of archives: the shell alone, and with Debian's programs. */
  readonly small: string;
  readonly large: string;
  readonly versions: readonly string[];
}

/** Builds the user space of one architecture, or takes it from the cache; without the runner. */
export async function userland(packages: Packages): Promise<Userland> {
  const name = `userland-${packages.architecture}`;
  const { folder, versions } = await packages.once(name, JSON.stringify([PROGRAMS, guestFiles([])]), async (into) => {
    const shell = await packages.entries(['busybox-static']);
    const programs = await packages.entries(await debianPackages(packages));
    writeFileSync(join(into, 'small.cpio'), buildCpio(rootEntries(shell.entries)));
    writeFileSync(join(into, 'large.cpio'), buildCpio(rootEntries([...shell.entries, ...programs.entries])));
    return [...new Set([...shell.versions, ...programs.versions])];
  });
  return { small: join(folder, 'small.cpio'), large: join(folder, 'large.cpio'), versions };
}

/** A root file system out of packages. */
function rootEntries(entries: readonly TarEntry[]): CpioEntry[] {
  const byPath = new Map<string, CpioEntry>();
  // Debian's merged /usr.
  const normal = (path: string): string => path.replace(/^(bin|sbin|lib|lib64)(?=\/|$)/, 'usr/$1');
  const fromPackages = new Map(entries.map((entry) => [normal(entry.path), entry]));
  for (const entry of guestFiles([])) byPath.set(entry.path, entry);
  byPath.set('lib64', { path: 'lib64', mode: 0o777, symlink: 'usr/lib64' });
  for (const [path, { type, mode, link, data }] of fromPackages) {
    // Folders come by themselves; our tables of /etc are smaller and fit the guest.
    if (type === 'folder' || path === '' || byPath.has(path)) continue;
    if (type === 'symlink') byPath.set(path, { path, mode: 0o777, symlink: link });
    else byPath.set(path, { path, mode, data: type === 'hardlink' ? dataOf(fromPackages, normal(link)) : data });
  }
  const busybox = dataOf(fromPackages, 'usr/bin/busybox');
  for (const entry of busyboxLinks(appletNames(busybox), new Set(byPath.keys()))) {
    if (!byPath.has(entry.path)) byPath.set(entry.path, entry);
  }
  return [...byPath.values()];
}

function dataOf(entries: ReadonlyMap<string, TarEntry>, path: string): Uint8Array {
  const entry = entries.get(path);
  if (entry === undefined) throw new BenchError('missing', `no package has /${path}`);
  return entry.data;
}
