/** OS images out of Debian packages: kernels, initramfs archives, and the cache they are kept in. */
export { buildCpio, concatCpio, readCpio, type CpioEntry } from './cpio.js';
export { ImageError, type ImageErrorCode } from './errors.js';
export type { Cache, Commands, Files, Lock, OnProgress, Progress } from './host.js';
export { cleanCache, listImages, type CachedImage } from './inventory.js';
export { instanceArchive, type InstanceConfig } from './instance.js';
export type { ImageManifest, KernelManifest, PackageVersion, UserlandManifest } from './manifest.js';
export type { ModuleChoice } from './modules.js';
export { prepareImage, prepareImages, type PreparedImage, type PrepareOptions } from './prepare.js';
export { PROFILES, redisProfile, shellProfile, type KernelChoice, type Profile } from './profile.js';
export type { Mirror, Mirrors } from './sources.js';
