/** Trees: whole Debian systems with packages of one's choice, on a disk that guests mount. */
import { Apt } from '../image/apt.js';
import type { InstallStep, PackageRecord } from '../image/apttext.js';
import { sha256 } from '../image/bytes.js';
import { ImageError } from '../image/errors.js';
import type { Cache, FileWriter, Lock, OnProgress } from '../image/host.js';
import { prepareImage, type PrepareOptions } from '../image/prepare.js';
import { Store } from '../image/store.js';
import type { SystemComputer } from '../system/index.js';
import { builderProfile, buildInGuest, GUEST_MEMORY } from './guest.js';
import { installScript } from './install-script.js';
import { checkTree, isTreeName, type TreeManifest } from './manifest.js';
import { PackageDisk, type Placed } from './package-disk.js';

/** Raised when the same packages are made into a tree in another way, so that older trees are not taken for it. */
const BUILDER = 1;
const MIB = 2 ** 20;
/** Frames that a computer needs beside its guest's memory. */
const MACHINE = 64 * MIB;
/** Room on a tree's disk beside what its files take: tables, packages while they are unpacked. */
const ROOM = 512 * MIB;
/** The host's disk must have so much left when all is done. */
const SPARE = 64 * MIB;

export interface TreeOptions extends PrepareOptions {
  /** Makes a computer for the guest that configures the packages; it is closed afterwards. */
  readonly computer: (need: { memory: number; harts: number }) => Promise<SystemComputer>;
  /** What to call it; the names of the packages in a row unless told. */
  readonly name?: string;
}

/** A tree in the cache: the path of its disk. */
export interface PreparedTree {
  readonly name: string;
  /** A raw disk image with ext4, to be attached and mounted read-only. */
  readonly disk: string;
  readonly manifest: TreeManifest;
}

/**
 * A Debian system with these packages, all that they depend on, and all that no Debian system is without. apt fetches
 * and verifies; their scripts run in a guest, none on the host. Kept in the cache under the exact versions; the disk's
 * SHA-256 is computed each time it is taken from there.
 *
 * @throws ImageError `not-found` for a package that does not exist, `network`, `disk-full`, `build` where the packages
 * cannot be installed, `aborted`, `invalid`. The cache holds nothing half-written then.
 */
export async function prepareTree(install: readonly string[], options: TreeOptions): Promise<PreparedTree> {
  const wanted = await asked(install, options);
  const { cache, signal, refresh = false, onProgress = () => undefined } = options;
  const store = new Store(cache);
  if (!refresh) {
    const found = await ready(store, wanted, onProgress);
    if (found !== undefined) return found;
  }
  const lockCache = (): Promise<Lock> =>
    cache.lock(signal, () =>
      onProgress({ step: 'wait', message: 'another process is preparing images: waiting for it' }),
    );
  const build = new TreeBuild(store, wanted, { ...options, onProgress });
  const planning = await lockCache();
  try {
    await build.plan();
  } finally {
    await planning.release();
  }
  // The builder's own image takes the same lock.
  const image = await prepareImage(builderProfile(), { ...options, refresh: false, onProgress });
  const lock = await lockCache();
  try {
    if (!refresh) {
      const found = await ready(store, wanted, onProgress);
      if (found !== undefined) return found;
    }
    await store.sweep();
    const manifest = await build.run(image);
    onProgress({ step: 'ready', message: `tree ${manifest.name} ready, ${manifest.packages.length} packages` });
    return prepared(store, manifest);
  } catch (error) {
    // What apt has fetched so far is kept for the next time, unless it is what fills the disk.
    if (error instanceof ImageError && error.code === 'disk-full') await cache.files.remove(`${cache.root}/apt`);
    throw error;
  } finally {
    await store.sweep();
    await lock.release();
  }
}

/** The trees in the cache, by name. `whole`: the disk is as it was written. */
export async function listTrees(cache: Cache): Promise<(PreparedTree & { whole: boolean })[]> {
  const store = new Store(cache);
  const trees = [];
  for (const manifest of await manifestsIn(store))
    trees.push({ ...prepared(store, manifest), whole: await store.isWhole(manifest.disk) });
  return trees.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A tree that was made before, by its name.
 *
 * @throws ImageError `not-found` where there is none, `corrupt` where its disk is not as it was written.
 */
export async function findTree(name: string, { cache }: { cache: Cache }): Promise<PreparedTree> {
  const store = new Store(cache);
  const all = await manifestsIn(store);
  const manifest = all.find((m) => m.name === name);
  if (manifest !== undefined) {
    if (await store.isWhole(manifest.disk)) return prepared(store, manifest);
    throw new ImageError(
      'corrupt',
      `the disk of tree ${name} is not as it was written: understudy images build --name ${name} --install ${manifest.install.join(',')}`,
    );
  }
  const names = all.map((m) => m.name).sort();
  const have = names.length === 0 ? 'none yet' : names.join(', ');
  throw new ImageError('not-found', `there is no tree ${name} (${have}): understudy images build --install PACKAGES`);
}

/** What is written of the trees in the cache, as far as it is whole. */
async function manifestsIn(store: Store): Promise<TreeManifest[]> {
  const { files, root } = store.cache;
  const all: TreeManifest[] = [];
  for (const file of await files.list(`${root}/trees`)) {
    const manifest = await store.readManifest('trees', file.replace(/\.json$/, ''), checkTree);
    if (manifest !== undefined) all.push(manifest);
  }
  return all;
}

const prepared = (store: Store, manifest: TreeManifest): PreparedTree => ({
  name: manifest.name,
  disk: store.path(manifest.disk),
  manifest,
});

interface Asked {
  readonly name: string;
  readonly install: readonly string[];
}

/** @throws ImageError `invalid` for what could not be meant, before anything is fetched. */
async function asked(install: readonly string[], options: TreeOptions): Promise<Asked> {
  const packages = [...new Set(install)].sort();
  if (packages.length === 0) throw new ImageError('invalid', 'which packages?');
  for (const name of packages) {
    // The name becomes an argument of apt: nothing that apt could take for an option, a version, or a file.
    if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name)) throw new ImageError('invalid', `"${name}" is not a package's name`);
  }
  const given = options.name ?? packages.join('-').replaceAll('+', '');
  const name =
    given.length <= 40 || options.name !== undefined
      ? given
      : `${given.slice(0, 31)}-${(await sha256(given)).slice(0, 8)}`;
  if (!isTreeName(name)) throw new ImageError('invalid', `a tree cannot be called "${name}": letters, digits, -_.`);
  return { name, install: packages };
}

/** The tree out of the cache, when all of it is there. */
async function ready(
  store: Store,
  { name, install }: Asked,
  onProgress: OnProgress,
): Promise<PreparedTree | undefined> {
  const manifest = await store.readManifest('trees', name, checkTree);
  if (manifest === undefined || manifest.install.join() !== install.join()) return undefined;
  if (manifest.contents !== (await contentsKey(manifest.packages))) return undefined;
  onProgress({ step: 'verify', message: `checking the tree ${name}, ${manifest.packages.length} packages` });
  return (await store.isWhole(manifest.disk)) ? prepared(store, manifest) : undefined;
}

/** The same for exactly these packages, made in exactly this way. */
async function contentsKey(packages: readonly { name: string; version: string }[]): Promise<string> {
  const lines = packages.map(({ name, version }) => `${name}=${version}`).sort();
  return (await sha256(JSON.stringify([BUILDER, lines]))).slice(0, 20);
}

interface Plan {
  readonly records: readonly PackageRecord[];
  readonly order: readonly InstallStep[];
  /** Bytes, roughly. */
  readonly installed: number;
}

class TreeBuild {
  readonly #apt: Apt;
  #plan: Plan | undefined;
  constructor(
    private readonly store: Store,
    private readonly asked: Asked,
    private readonly options: TreeOptions & { onProgress: OnProgress },
  ) {
    const { cache, commands, onProgress, signal, mirrors } = options;
    this.#apt = new Apt({ root: `${cache.root}/apt`, files: cache.files, commands, onProgress, signal, mirrors });
  }

  /** Finds out what is needed, and whether there is room for it, before anything is fetched. */
  async plan(): Promise<Plan> {
    const { install } = this.asked;
    await this.#apt.update({ needBackports: false, always: this.options.refresh === true });
    const { records, order } = await this.#apt.system(install);
    const installed = records.reduce((n, r) => n + r.installed, 0);
    await this.#checkRoom(records, installed);
    this.#plan = { records, order, installed };
    return this.#plan;
  }

  async run(image: Parameters<typeof buildInGuest>[0]['image']): Promise<TreeManifest> {
    const { store, options } = this;
    const { name, install } = this.asked;
    const apt = this.#apt;
    const { records, order, installed } = this.#plan ?? (await this.plan());
    const packages = records.map(({ name, version }) => ({ name, version })).sort((a, b) => (a.name < b.name ? -1 : 1));
    const contents = await contentsKey(packages);
    const known = await this.#known(contents);
    if (known !== undefined) return this.#keep({ ...known, name, install });
    await apt.announce(records);
    const debs = await apt.download(records);

    const [target, source] = [store.temporary('tree.ext4'), store.temporary('packages')];
    const placed = await this.#lay(records, debs, source);
    await this.#resize(await options.cache.files.create(target), Math.ceil((installed * 1.5 + ROOM) / MIB) * MIB);
    const first = foundation(records);
    const script = installScript({ order, first, placed, label: name.slice(0, 16) });
    const computer = await options.computer({ memory: GUEST_MEMORY + MACHINE, harts: 1 });
    const { onProgress, signal } = options;
    try {
      const events = order.length + first.length + 2;
      const { used, bytes } = await buildInGuest({
        ...{ computer, image, target, packages: source, script, events, onProgress, signal },
      });
      await this.#resize(await options.cache.files.open(target), bytes);
      const disk = await store.adopt('tree.ext4', target);
      await apt.forget(records);
      return await this.#keep({ name, install, packages, contents, used, disk });
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      await computer.close();
    }
  }

  async #keep(manifest: TreeManifest): Promise<TreeManifest> {
    const { store } = this;
    const before = await store.readManifest('trees', manifest.name, checkTree);
    await store.writeManifest('trees', manifest.name, manifest);
    // Hundreds of megabytes that nobody asks for any more. A guest that has it goes on with what it has open.
    if (before !== undefined && !(await this.#isUsed(before))) await store.cache.files.remove(store.path(before.disk));
    return manifest;
  }

  async #isUsed({ disk }: TreeManifest): Promise<boolean> {
    return (await manifestsIn(this.store)).some((m) => m.disk.sha256 === disk.sha256);
  }

  /** The same packages at the same versions, made before under whatever name. */
  async #known(contents: string): Promise<TreeManifest | undefined> {
    const { store } = this;
    for (const manifest of await manifestsIn(store))
      if (manifest.contents === contents && (await store.isWhole(manifest.disk))) return manifest;
    return undefined;
  }

  /** What is fetched, what is unpacked on the way, and the tree: all lie on the disk at the same time. */
  async #checkRoom(records: readonly PackageRecord[], installed: number): Promise<void> {
    const { cache } = this.options;
    const need = records.reduce((n, r) => n + r.size, 0) + 2.2 * installed + SPARE;
    await cache.files.makeFolder(cache.root);
    const free = await cache.files.free(cache.root);
    if (free >= need) return;
    const mib = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;
    throw new ImageError(
      'disk-full',
      `the disk of ${cache.root} has ${mib(free)} left, and ${this.asked.name} needs ${mib(need)} while it is made. Make room, or set UNDERSTUDY_CACHE to a folder on another disk`,
    );
  }

  async #lay(records: readonly PackageRecord[], debs: readonly string[], path: string): Promise<Map<string, Placed>> {
    const { cache, commands, signal, onProgress } = this.options;
    const out = await cache.files.create(path);
    const placed = new Map<string, Placed>();
    try {
      const disk = new PackageDisk(out, commands, signal);
      for (const [i, record] of records.entries()) {
        onProgress({ step: 'unpack', message: `uncompressing ${record.name}`, fraction: i / records.length });
        placed.set(record.name, await disk.add(debs[i]));
      }
      await disk.finish();
    } finally {
      await out.close();
    }
    return placed;
  }

  async #resize(out: FileWriter, bytes: number): Promise<void> {
    try {
      await out.resize(bytes);
    } finally {
      await out.close();
    }
  }

  /** A guest whose disk cannot be written sees an I/O error; its reason is the host's. */
  async #explain(error: unknown): Promise<unknown> {
    const { cache } = this.options;
    if (!(error instanceof ImageError) || error.code !== 'build') return error;
    if ((await cache.files.free(cache.root)) > SPARE / 4) return error;
    return new ImageError('disk-full', `the disk of ${cache.root} became full while the tree was made`, {
      cause: error,
    });
  }
}

/** What must lie there before dpkg can run: what no system is without, and what that depends on. */
export function foundation(records: readonly PackageRecord[]): string[] {
  const providers = new Map<string, PackageRecord[]>();
  for (const record of records) {
    for (const name of [record.name, ...record.provides]) providers.set(name, [...(providers.get(name) ?? []), record]);
  }
  const taken = new Set<PackageRecord>();
  const take = (record: PackageRecord): void => {
    if (taken.has(record)) return;
    taken.add(record);
    for (const name of record.depends) providers.get(name)?.forEach(take);
  };
  for (const record of records) if (record.essential) take(record);
  return [...taken].map(({ name }) => name).sort();
}
