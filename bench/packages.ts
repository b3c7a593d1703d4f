/** Debian packages of any architecture and release, for the peers and for the programs that are Debian's. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeCache } from '../src/adapters/node/cache.js';
import { makeFolders } from '../src/adapters/node/files.js';
import { nodeCommands } from '../src/adapters/node/commands.js';
import { Apt } from '../src/image/apt.js';
import type { PackageRecord } from '../src/image/apttext.js';
import type { OnProgress } from '../src/image/index.js';
import { readTar, type TarEntry } from '../src/image/tar.js';

/** The release of the programs, and of the peers: the one guests are made of. */
export const RELEASE = 'trixie';
/** The last release with kernels for i386. */
export const I386_KERNEL_RELEASE = 'bookworm';

export interface PackageOptions {
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
  /** Looks for newer versions of what is there. */
  readonly refresh: boolean;
}

/** What was made of packages, and of which. */
export interface Made {
  readonly folder: string;
  /** `name version`, sorted. */
  readonly versions: readonly string[];
}

/** Documentation, translations, character sets that nobody here writes, other programs' integration. */
const UNNEEDED =
  /^usr\/(share\/(doc|man|info|locale|lintian|bug|bash-completion|zsh|applications|pixmaps|icons)|lib\/[^/]+\/gconv)\/|^usr\/lib\/systemd\//;

export class Packages {
  readonly #apt: Apt;

  constructor(
    readonly architecture: string,
    readonly release: string,
    private readonly options: PackageOptions,
  ) {
    this.#apt = new Apt({
      root: join(this.#home, `apt-${architecture}-${release}`),
      files: nodeCache().files,
      commands: nodeCommands,
      onProgress: options.onProgress,
      signal: options.signal,
      architecture,
      release,
    });
  }

  get #home(): string {
    return join(nodeCache().root, 'bench');
  }

  /**
   * A folder of the cache that `make` has filled, once for each name and key: a crash in the middle
   * leaves nothing under the final name.
   */
  async once(name: string, key: string, make: (folder: string) => Promise<readonly string[]>): Promise<Made> {
    const folder = join(this.#home, name);
    const stamp = join(folder, '.made.json');
    if (!this.options.refresh && existsSync(stamp)) {
      const made: unknown = JSON.parse(readFileSync(stamp, 'utf8'));
      if (isStamp(made) && made.key === key) return { folder, versions: made.versions };
    }
    const temporary = `${folder}.${process.pid}`;
    await makeFolders(temporary);
    try {
      await this.#apt.update({ needBackports: false, always: this.options.refresh });
      const versions = [...(await make(temporary))].sort();
      writeFileSync(join(temporary, '.made.json'), JSON.stringify({ key, versions }));
      rmSync(folder, { recursive: true, force: true });
      renameSync(temporary, folder);
      return { folder, versions };
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }

  /** Names of packages that begin so. */
  names(prefix: string): Promise<string[]> {
    return this.#apt.names(prefix);
  }

  show(name: string): Promise<PackageRecord[]> {
    return this.#apt.show([name]);
  }

  /** Prefers the release's backports for these (patterns as in apt_preferences(5)). */
  async preferBackports(patterns: string): Promise<void> {
    const folder = join(this.#home, `apt-${this.architecture}-${this.release}`, 'etc/apt/preferences.d');
    const pin = `Package: ${patterns}\nPin: release n=${this.release}-backports\nPin-Priority: 900\n`;
    await nodeCache().files.makeFolder(folder);
    await nodeCache().files.write(join(folder, 'backports'), pin);
  }

  /** The entries of the packages and their libraries, as far as programs need them to run. */
  async entries(
    names: readonly string[],
    keep: (path: string) => boolean = (path) => !UNNEEDED.test(path),
  ): Promise<{ entries: TarEntry[]; versions: string[] }> {
    const records = await this.#apt.resolve(names);
    const paths = await this.#apt.download(records);
    const entries: TarEntry[] = [];
    for (const path of paths) {
      const stream = nodeCommands.stream('dpkg-deb', ['--fsys-tarfile', path], { signal: this.options.signal });
      entries.push(...(await readTar(stream, keep)));
    }
    await this.#apt.forget(records);
    return { entries, versions: versionsOf(records) };
  }

  /** One package alone, without what it depends on. */
  async only(record: PackageRecord, keep: (path: string) => boolean): Promise<TarEntry[]> {
    const [path] = await this.#apt.download([record]);
    const stream = nodeCommands.stream('dpkg-deb', ['--fsys-tarfile', path], { signal: this.options.signal });
    const entries = await readTar(stream, keep);
    await this.#apt.forget([record]);
    return entries;
  }

  /**
   * Unpacks packages into a folder that is laid out like Debian's root.
   *
   * @param dependencies their libraries, or everything they depend on.
   */
  async unpack(names: readonly string[], folder: string, dependencies: 'libraries' | 'all'): Promise<string[]> {
    const records = dependencies === 'all' ? await this.#apt.plan(names) : await this.#apt.resolve(names);
    const paths = await this.#apt.download(records);
    for (const name of ['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'tmp', 'dev', 'etc', 'bench']) {
      await makeFolders(join(folder, name));
    }
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) execFileSync('ln', ['-sfn', `usr/${name}`, join(folder, name)]);
    for (const path of paths) execFileSync('dpkg-deb', ['--extract', path, folder]);
    await this.#apt.forget(records);
    return versionsOf(records);
  }
}

/** Runs a command of a root folder as if that were the system. Root may; others in a user name space of their own. */
export function inRoot(folder: string, command: string, args: readonly string[]): [string, ...string[]] {
  const rights = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  return ['unshare', ...rights, `--root=${folder}`, '--wd=/', command, ...args];
}

const versionsOf = (records: readonly PackageRecord[]): string[] => records.map((r) => `${r.name} ${r.version}`);

function isStamp(value: unknown): value is { key: string; versions: string[] } {
  return typeof value === 'object' && value !== null && 'key' in value && 'versions' in value;
}
