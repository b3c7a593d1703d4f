/**
 * What was built, in the cache's folder:
 *
 *   blobs/NAME-SHA256      kernels and archives, named by their contents: never changed in place
 *   KIND/KEY.json          manifests: which blobs a kernel, user space or image consists of
 *   apt/                   the private apt: indices, packages
 *   tmp/                   what is being written; taken away by the next owner of the lock
 *
 * A blob or manifest appears whole under its name or not at all (written aside, then renamed).
 */
import { sha256, toBytes, toText } from './bytes.js';
import { ImageError } from './errors.js';
import type { Cache } from './host.js';

/** A file of the cache, known by its contents. */
export interface Blob {
  /** What it is, for people: `Image`, `initramfs.cpio`. */
  name: string;
  sha256: string;
  bytes: number;
}

export class Store {
  constructor(readonly cache: Cache) {}

  path(blob: Blob): string {
    return `${this.cache.root}/blobs/${blob.name}-${blob.sha256}`;
  }

  /** The blob's contents, or undefined when it is missing, truncated or altered. */
  async read(blob: Blob): Promise<Uint8Array | undefined> {
    const path = this.path(blob);
    if ((await this.cache.files.size(path)) !== blob.bytes) return undefined;
    const data = await this.cache.files.read(path);
    return data !== undefined && (await sha256(data)) === blob.sha256 ? data : undefined;
  }

  async write(name: string, data: Uint8Array): Promise<Blob> {
    const blob = { name, sha256: await sha256(data), bytes: data.length };
    if ((await this.read(blob)) === undefined) await this.#replace(this.path(blob), data);
    return blob;
  }

  /** Whether the blob is as it was written; nothing of it is kept in memory. */
  async isWhole(blob: Blob): Promise<boolean> {
    const path = this.path(blob);
    return (await this.cache.files.size(path)) === blob.bytes && (await this.cache.files.digest(path)) === blob.sha256;
  }

  /** A name for what is being written. The lock's owner alone may use it; what is left of it is swept away. */
  temporary(name: string): string {
    return `${this.cache.root}/tmp/${name}`;
  }

  /** Makes a file, written under a name of {@link temporary}, a blob. */
  async adopt(name: string, temporary: string): Promise<Blob> {
    const { files, root } = this.cache;
    const [digest, bytes] = [await files.digest(temporary), await files.size(temporary)];
    if (digest === undefined || bytes === undefined) throw new ImageError('corrupt', `${temporary} is gone`);
    const blob = { name, sha256: digest, bytes };
    await files.makeFolder(`${root}/blobs`);
    await files.rename(temporary, this.path(blob));
    return blob;
  }

  /** A manifest, or undefined when there is none or it is damaged. */
  async readManifest<T>(kind: string, key: string, check: (value: unknown) => T | undefined): Promise<T | undefined> {
    const data = await this.cache.files.read(`${this.cache.root}/${kind}/${key}.json`);
    if (data === undefined) return undefined;
    try {
      return check(JSON.parse(toText(data)));
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  async writeManifest(kind: string, key: string, value: object): Promise<void> {
    await this.#replace(`${this.cache.root}/${kind}/${key}.json`, toBytes(`${JSON.stringify(value, null, 2)}\n`));
  }

  async #replace(path: string, data: Uint8Array): Promise<void> {
    const { root, files } = this.cache;
    // Only the lock's owner writes, so the name needs to be unique in this process alone.
    const temporary = `${root}/tmp/${path.slice(path.lastIndexOf('/') + 1)}`;
    try {
      await files.write(temporary, data);
      await files.makeFolder(path.slice(0, path.lastIndexOf('/')));
      await files.rename(temporary, path);
    } finally {
      await files.remove(temporary);
    }
  }

  /** Takes away what a killed process left half-written. The caller holds the lock. */
  async sweep(): Promise<void> {
    await this.cache.files.remove(`${this.cache.root}/tmp`);
  }
}
