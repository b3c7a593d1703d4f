/** The part of a guest that does not depend on its kernel: busybox, programs, libraries, tables. */
import type { Apt } from './apt.js';
import type { PackageRecord } from './apttext.js';
import { appletNames } from './busybox.js';
import { buildCpio, type CpioEntry } from './cpio.js';
import { busyboxLinks, guestFiles } from './guestfiles.js';
import type { KernelContext } from './kernel.js';
import type { UserlandManifest } from './manifest.js';
import type { Profile } from './profile.js';
import { readTar } from './tar.js';
import { PackageTree } from './tree.js';

const BUSYBOX = 'usr/bin/busybox';

/** Documentation and translations are never needed to run a program. */
const isNeeded = (path: string): boolean => !/^usr\/share\/(doc|man|info|locale|lintian|bug)\//.test(path);

/** The entries of a user space out of unpacked packages. */
export function userlandEntries(tree: PackageTree, profile: Pick<Profile, 'programs' | 'load' | 'files'>): CpioEntry[] {
  const entries = new Map<string, CpioEntry>();
  const put = (list: readonly CpioEntry[]): void => list.forEach((entry) => entries.set(entry.path, entry));
  put(guestFiles(profile.load));
  put(tree.closure([BUSYBOX, ...profile.programs]));
  put(busyboxLinks(appletNames(tree.file(BUSYBOX)), new Set(entries.keys())));
  put(profile.files);
  return [...entries.values()];
}

/** The packages of a user space. */
export function userlandPackages(apt: Apt, profile: Pick<Profile, 'packages'>): Promise<PackageRecord[]> {
  return apt.resolve(['busybox-static', ...profile.packages]);
}

/**
 * Fetches the packages of {@link userlandPackages}, unpacks them and stores a user space. The same profile gives the
 * same bytes under every kernel.
 */
export async function buildUserland(
  context: KernelContext,
  profile: Profile,
  records: readonly PackageRecord[],
): Promise<UserlandManifest> {
  const { apt, store, commands, onProgress, signal } = context;
  const tree = new PackageTree();
  for (const deb of await apt.download(records)) {
    onProgress({ step: 'unpack', message: `unpacking ${deb.slice(deb.lastIndexOf('/') + 1)}` });
    tree.add(await readTar(commands.stream('dpkg-deb', ['--fsys-tarfile', deb], { signal }), isNeeded));
  }
  onProgress({ step: 'build', message: `building the user space of ${profile.name}` });
  const archive = await store.write('userland.cpio', buildCpio(userlandEntries(tree, profile)));
  const manifest = { packages: records.map(({ name, version }) => ({ name, version })), archive };
  await apt.forget(records);
  return manifest;
}
