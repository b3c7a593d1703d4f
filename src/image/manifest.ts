/** Manifests, and their checks: a file in a cache is anyone's until it is checked. */
import type { Blob } from './store.js';

/** A Debian package at one version. */
export interface PackageVersion {
  name: string;
  version: string;
}

/** A kernel and the modules chosen from it. */
export interface KernelManifest {
  /** As `uname -r` says. */
  release: string;
  packages: PackageVersion[];
  image: Blob;
  /** An archive with the modules, in load order in `moduleNames`. */
  modules: Blob;
  moduleNames: string[];
}

/** The files of a guest that do not depend on its kernel. */
export interface UserlandManifest {
  packages: PackageVersion[];
  archive: Blob;
}

/** What an image in the cache was made of. */
export interface ImageManifest {
  profile: string;
  kernel: KernelManifest;
  userland: UserlandManifest;
  /** Both archives in a row. */
  initramfs: Blob;
}

type Check<T> = (value: unknown) => T | undefined;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

export const isBlob = (value: unknown): value is Blob =>
  isRecord(value) &&
  typeof value['name'] === 'string' &&
  /^[\w.]+$/.test(value['name']) &&
  typeof value['sha256'] === 'string' &&
  /^[0-9a-f]{64}$/.test(value['sha256']) &&
  Number.isSafeInteger(value['bytes']);

export const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((v) => typeof v === 'string');

export const isPackages = (value: unknown): value is PackageVersion[] =>
  Array.isArray(value) &&
  value.every((v: unknown) => isRecord(v) && typeof v['name'] === 'string' && typeof v['version'] === 'string');

export const checkKernel: Check<KernelManifest> = (value) => {
  if (!isRecord(value)) return undefined;
  const { release, packages, image, modules, moduleNames } = value;
  if (typeof release !== 'string' || !isPackages(packages) || !isBlob(image) || !isBlob(modules)) return undefined;
  return isStrings(moduleNames) ? { release, packages, image, modules, moduleNames } : undefined;
};

export const checkUserland: Check<UserlandManifest> = (value) => {
  if (!isRecord(value)) return undefined;
  const { packages, archive } = value;
  return isPackages(packages) && isBlob(archive) ? { packages, archive } : undefined;
};

export const checkImage: Check<ImageManifest> = (value) => {
  if (!isRecord(value)) return undefined;
  const { profile, initramfs } = value;
  const kernel = checkKernel(value['kernel']);
  const userland = checkUserland(value['userland']);
  if (typeof profile !== 'string' || kernel === undefined || userland === undefined || !isBlob(initramfs))
    return undefined;
  return { profile, kernel, userland, initramfs };
};
