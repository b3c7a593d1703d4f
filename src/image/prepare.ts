/** Prepares images: from the cache where it has them whole, else out of Debian's packages. */
import { Apt } from './apt.js';
import { concatCpio } from './cpio.js';
import { ImageError } from './errors.js';
import type { Cache, Commands, OnProgress } from './host.js';
import { guestFiles } from './guestfiles.js';
import type { PackageRecord } from './apttext.js';
import { buildKernel, kernelPackages, kernelRelease, type KernelContext } from './kernel.js';
import {
  checkImage,
  checkKernel,
  checkUserland,
  type ImageManifest,
  type KernelManifest,
  type UserlandManifest,
} from './manifest.js';
import { checkProfile, partKey, type Profile } from './profile.js';
import type { Mirrors } from './sources.js';
import { Store } from './store.js';
import { buildUserland, userlandPackages } from './userland.js';

/** Where images are kept, and how they are obtained. */
export interface PrepareOptions {
  cache: Cache;
  commands: Commands;
  onProgress?: OnProgress;
  /** Ends the work at once; the cache holds only whole files then. */
  signal?: AbortSignal;
  /** Where to fetch from, instead of the machine's own mirrors. */
  mirrors?: Mirrors;
  /** Looks for newer versions even when the cache has the image. */
  refresh?: boolean;
}

/** An image in the cache: paths of its files. */
export interface PreparedImage {
  /** Path of the kernel's `Image`. */
  kernel: string;
  /** As `uname -r` says. */
  kernelVersion: string;
  /** Path of the initramfs, an uncompressed cpio archive to which others can be appended. */
  initramfs: string;
  manifest: ImageManifest;
}

/**
 * The image of a profile. Everything comes verified: packages by Debian's signatures when they are
 * fetched, files of the cache by their SHA-256 each time.
 *
 * Several processes may prepare at once: one builds, the others wait and take what it built.
 *
 * @throws ImageError with a code as in errors.ts; nothing half-written is left under its final name.
 *
 * @example
 * const image = await prepareImage(shellProfile('trixie'), { cache, commands });
 * console.log(image.kernelVersion, image.kernel, image.initramfs);
 */
export async function prepareImage(profile: Profile, options: PrepareOptions): Promise<PreparedImage> {
  const [image] = await prepareImages([profile], options);
  return image;
}

/**
 * The images of several profiles, in their order. What all of them need is known, and said with the step `plan`,
 * before the first package is fetched; what several need is fetched once.
 *
 * @throws ImageError as {@link prepareImage}.
 *
 * @example
 * const [active, understudy] = await prepareImages([redisProfile('trixie'), redisProfile('backports')], options);
 */
export async function prepareImages(profiles: readonly Profile[], options: PrepareOptions): Promise<PreparedImage[]> {
  for (const profile of profiles) checkProfile(profile);
  const { cache, signal, refresh, onProgress = () => undefined } = options;
  throwIfAborted(signal);
  const store = new Store(cache);
  const wanted: Wanted[] = [];
  for (const profile of profiles) wanted.push({ profile, keys: await profileKeys(profile) });
  const images = new Map<Wanted, PreparedImage>();
  /** What the cache does not have whole. */
  const lacking = async (): Promise<Wanted[]> => {
    if (refresh === true) return wanted;
    for (const want of wanted) {
      if (images.has(want)) continue;
      const image = await ready(store, want, onProgress);
      if (image !== undefined) images.set(want, image);
    }
    return wanted.filter((want) => !images.has(want));
  };
  const inOrder = (): PreparedImage[] => wanted.map((want) => images.get(want)!);
  if ((await lacking()).length === 0) return inOrder();
  const lock = await cache.lock(signal, () =>
    onProgress({ step: 'wait', message: 'another process is preparing images: waiting for it' }),
  );
  try {
    // Whoever held the lock may have built what we want.
    const missing = await lacking();
    if (missing.length === 0) return inOrder();
    await store.sweep();
    for (const { want, manifest } of await build(missing, store, { ...options, onProgress })) {
      images.set(want, prepared(store, manifest));
    }
    return inOrder();
  } catch (error) {
    // What apt has fetched so far is kept for the next time, unless it is what fills the disk.
    if (error instanceof ImageError && error.code === 'disk-full') await cache.files.remove(`${cache.root}/apt`);
    throw error;
  } finally {
    await store.sweep();
    await lock.release();
  }
}

/** The image out of the cache, when all of it is there. */
async function ready(
  store: Store,
  { profile, keys }: Wanted,
  onProgress: OnProgress,
): Promise<PreparedImage | undefined> {
  const manifest = await store.readManifest('images', keys.image, checkImage);
  if (manifest === undefined) return undefined;
  onProgress({ step: 'verify', message: `checking the image of ${profile.name}, Linux ${manifest.kernel.release}` });
  for (const blob of [manifest.kernel.image, manifest.initramfs]) {
    if ((await store.read(blob)) === undefined) return undefined;
  }
  return prepared(store, manifest);
}

interface Wanted {
  readonly profile: Profile;
  readonly keys: Keys;
}

interface Keys {
  image: string;
  kernel: string;
  userland: string;
}

async function profileKeys(profile: Profile): Promise<Keys> {
  const { kernel, modules, packages, programs, load, files } = profile;
  const kernelKey = `${kernel}-${await partKey({ modules })}`;
  // Our own files are part of the key: a cache from before they changed must not be taken for up to date.
  const userland = await partKey({ packages, programs, load, files, own: guestFiles(load) });
  return { kernel: kernelKey, userland, image: `${profile.name}-${kernelKey}-${userland}` };
}

const prepared = (store: Store, manifest: ImageManifest): PreparedImage => ({
  kernel: store.path(manifest.kernel.image),
  kernelVersion: manifest.kernel.release,
  initramfs: store.path(manifest.initramfs),
  manifest,
});

/** A part of images that is built once for all that have it: the packages it is made of, and how. */
interface Part<T> {
  readonly records: readonly PackageRecord[];
  readonly make: () => Promise<T>;
}

async function build(
  missing: readonly Wanted[],
  store: Store,
  options: PrepareOptions & { onProgress: OnProgress },
): Promise<{ want: Wanted; manifest: ImageManifest }[]> {
  const { cache, commands, signal, onProgress, refresh } = options;
  const apt = new Apt({
    root: `${cache.root}/apt`,
    files: cache.files,
    commands,
    onProgress,
    signal,
    mirrors: options.mirrors,
  });
  const context: KernelContext = { apt, store, commands, onProgress, signal };
  const needBackports = missing.some(({ profile }) => profile.kernel === 'backports');
  const update = (): Promise<void> => apt.update({ needBackports, always: refresh === true });

  // First what is needed, then how much that is, then the work.
  const kernels = new Map<string, Part<KernelManifest>>();
  const userlands = new Map<string, Part<UserlandManifest>>();
  for (const { profile, keys } of missing) {
    if (!kernels.has(keys.kernel)) kernels.set(keys.kernel, await planKernel(profile, keys.kernel));
    if (!userlands.has(keys.userland)) userlands.set(keys.userland, await planUserland(profile, keys.userland));
  }
  throwIfAborted(signal);
  await apt.announce([...kernels.values(), ...userlands.values()].flatMap(({ records }) => records));

  const made = new Map<object, unknown>();
  const once = async <T>(part: Part<T>): Promise<T> => {
    if (!made.has(part)) made.set(part, await part.make());
    throwIfAborted(signal);
    return made.get(part) as T;
  };
  const manifests = [];
  for (const want of missing) {
    const kernel = await once(kernels.get(want.keys.kernel)!);
    const userland = await once(userlands.get(want.keys.userland)!);
    const manifest = await assemble(store, want, kernel, userland);
    onProgress({ step: 'ready', message: `image of ${want.profile.name} ready, Linux ${kernel.release}` });
    manifests.push({ want, manifest });
  }
  return manifests;

  async function planKernel(profile: Profile, key: string): Promise<Part<KernelManifest>> {
    const known = await store.readManifest('kernels', key, checkKernel);
    const whole = known !== undefined && (await isWhole(store, [known.image, known.modules]));
    const asItIs = { records: [], make: () => Promise.resolve(known!) };
    if (whole && refresh !== true) return asItIs;
    await update();
    const release = await kernelRelease(apt, profile.kernel);
    if (whole && known.release === release) return asItIs;
    const records = await kernelPackages(apt, release);
    return {
      records,
      make: async () => {
        const built = await buildKernel(context, release, records, profile.modules);
        await store.writeManifest('kernels', key, built);
        return built;
      },
    };
  }

  async function planUserland(profile: Profile, key: string): Promise<Part<UserlandManifest>> {
    const known = await store.readManifest('userlands', key, checkUserland);
    if (refresh !== true && known !== undefined && (await isWhole(store, [known.archive]))) {
      return { records: [], make: () => Promise.resolve(known) };
    }
    await update();
    const records = await userlandPackages(apt, profile);
    return {
      records,
      make: async () => {
        const built = await buildUserland(context, profile, records);
        await store.writeManifest('userlands', key, built);
        return built;
      },
    };
  }
}

/** One image out of its two parts. */
async function assemble(
  store: Store,
  { profile, keys }: Wanted,
  kernel: KernelManifest,
  userland: UserlandManifest,
): Promise<ImageManifest> {
  const archives = [await store.read(userland.archive), await store.read(kernel.modules)];
  if (archives.some((a) => a === undefined))
    throw new ImageError('corrupt', 'the cache changed while it was read: try again');
  const initramfs = await store.write('initramfs.cpio', concatCpio(archives.filter((a) => a !== undefined)));
  const manifest: ImageManifest = { profile: profile.name, kernel, userland, initramfs };
  await store.writeManifest('images', keys.image, manifest);
  return manifest;
}

async function isWhole(store: Store, blobs: readonly KernelManifest['image'][]): Promise<boolean> {
  for (const blob of blobs) if ((await store.read(blob)) === undefined) return false;
  return true;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new ImageError('aborted', 'preparing the image was interrupted');
}
