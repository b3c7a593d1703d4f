/** Prepares images: from the cache where it has them whole, else out of Debian's packages. */
import { Apt } from './apt.js';
import { concatCpio } from './cpio.js';
import { ImageError } from './errors.js';
import type { Cache, Commands, OnProgress } from './host.js';
import { guestFiles } from './guestfiles.js';
import { buildKernel, kernelRelease, type KernelContext } from './kernel.js';
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
import { buildUserland } from './userland.js';

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
  checkProfile(profile);
  const { cache, signal, onProgress = () => undefined } = options;
  throwIfAborted(signal);
  const store = new Store(cache);
  const keys = await profileKeys(profile);
  const ready = async (): Promise<PreparedImage | undefined> => {
    const manifest = await store.readManifest('images', keys.image, checkImage);
    if (manifest === undefined) return undefined;
    onProgress({ step: 'verify', message: `checking the image of ${profile.name}, Linux ${manifest.kernel.release}` });
    for (const blob of [manifest.kernel.image, manifest.initramfs]) {
      if ((await store.read(blob)) === undefined) return undefined;
    }
    return prepared(store, manifest);
  };
  if (options.refresh !== true) {
    const image = await ready();
    if (image !== undefined) return image;
  }
  const lock = await cache.lock(signal, () =>
    onProgress({ step: 'wait', message: 'another process is preparing images: waiting for it' }),
  );
  try {
    // Whoever held the lock may have built what we want.
    const image = options.refresh === true ? undefined : await ready();
    if (image !== undefined) return image;
    await store.sweep();
    const manifest = await build(profile, keys, store, { ...options, onProgress });
    onProgress({ step: 'ready', message: `image of ${profile.name} ready, Linux ${manifest.kernel.release}` });
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

async function build(
  profile: Profile,
  keys: Keys,
  store: Store,
  options: PrepareOptions & { onProgress: OnProgress },
): Promise<ImageManifest> {
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

  const kernel = await (async (): Promise<KernelManifest> => {
    const known = await store.readManifest('kernels', keys.kernel, checkKernel);
    const whole = known !== undefined && (await isWhole(store, [known.image, known.modules]));
    if (whole && refresh !== true) return known;
    await apt.update({ needBackports: profile.kernel === 'backports', always: refresh === true });
    const release = await kernelRelease(apt, profile.kernel);
    if (whole && known.release === release) return known;
    const built = await buildKernel(context, release, profile.modules);
    await store.writeManifest('kernels', keys.kernel, built);
    return built;
  })();
  throwIfAborted(signal);

  const userland = await (async (): Promise<UserlandManifest> => {
    const known = await store.readManifest('userlands', keys.userland, checkUserland);
    if (refresh !== true && known !== undefined && (await isWhole(store, [known.archive]))) return known;
    await apt.update({ needBackports: false, always: refresh === true });
    const built = await buildUserland(context, profile);
    await store.writeManifest('userlands', keys.userland, built);
    return built;
  })();
  throwIfAborted(signal);

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
