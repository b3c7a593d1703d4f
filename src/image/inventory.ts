/** What the cache holds, and emptying it. */
import { ImageError } from './errors.js';
import type { Cache } from './host.js';
import { checkImage, type ImageManifest } from './manifest.js';
import { Store } from './store.js';

export interface CachedImage {
  /** Name of its manifest. */
  key: string;
  /** Paths, as prepareImage gives them. */
  kernel: string;
  initramfs: string;
  /** Bytes of both. */
  bytes: number;
  /** Both files are as they were written. */
  whole: boolean;
  manifest: ImageManifest;
}

/** The images in the cache, checked; manifests that are damaged are left out, they are rebuilt when wanted. */
export async function listImages(cache: Cache): Promise<CachedImage[]> {
  const store = new Store(cache);
  const images: CachedImage[] = [];
  for (const name of await cache.files.list(`${cache.root}/images`)) {
    const key = name.replace(/\.json$/, '');
    const manifest = await store.readManifest('images', key, checkImage);
    if (manifest === undefined) continue;
    const blobs = [manifest.kernel.image, manifest.initramfs];
    const contents = await Promise.all(blobs.map((blob) => store.read(blob)));
    images.push({
      key,
      kernel: store.path(manifest.kernel.image),
      initramfs: store.path(manifest.initramfs),
      bytes: blobs.reduce((n, blob) => n + blob.bytes, 0),
      whole: contents.every((c) => c !== undefined),
      manifest,
    });
  }
  return images;
}

/** Ours, and nothing else that may lie in a folder somebody named. */
const PARTS = ['apt', 'blobs', 'images', 'kernels', 'userlands', 'trees', 'tmp'];

/** Removes images, or with `packagesOnly` just what apt has fetched. Waits for whoever is preparing. */
export async function cleanCache(
  cache: Cache,
  options: { packagesOnly?: boolean; signal?: AbortSignal; onWait?: () => void } = {},
): Promise<void> {
  const lock = await cache.lock(options.signal, options.onWait);
  try {
    for (const part of options.packagesOnly === true ? ['apt', 'tmp'] : PARTS) {
      if (options.signal?.aborted === true) throw new ImageError('aborted', 'interrupted');
      await cache.files.remove(`${cache.root}/${part}`);
    }
  } finally {
    await lock.release();
  }
}
