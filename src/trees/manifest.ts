/** What is written of a tree in the cache, and its check: a file in a cache is anyone's until it is checked. */
import type { Blob } from '../image/store.js';
import type { PackageVersion } from '../image/manifest.js';
import { isBlob, isPackages, isRecord, isStrings } from '../image/manifest.js';

/** A Debian system in the cache, as a file system on a disk. */
export interface TreeManifest {
  /** The name that it is asked for by. */
  readonly name: string;
  /** The packages that were asked for; what they depend on came by itself. */
  readonly install: readonly string[];
  /** Every package in it, at its version. */
  readonly packages: readonly PackageVersion[];
  /** A key of exactly these packages, made in exactly this way. */
  readonly contents: string;
  /** Bytes of what its files hold. */
  readonly used: number;
  /** A raw disk: ext4 without a journal, to be mounted read-only. */
  readonly disk: Blob;
}

export function checkTree(value: unknown): TreeManifest | undefined {
  if (!isRecord(value)) return undefined;
  const { name, install, packages, contents, used, disk } = value;
  if (typeof name !== 'string' || !isTreeName(name) || typeof contents !== 'string') return undefined;
  if (!isStrings(install) || !isPackages(packages) || !isBlob(disk) || typeof used !== 'number') return undefined;
  return { name, install, packages, contents, used, disk };
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/** Whether a tree may be called so: it is a folder's name in a guest. */
export const isTreeName = (name: string): boolean => NAME.test(name);
