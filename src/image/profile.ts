/** What an image is to contain. */
import { sha256, toBytes } from './bytes.js';
import type { CpioEntry } from './cpio.js';
import { ImageError } from './errors.js';
import type { ModuleChoice } from './modules.js';

/**
 * `trixie`: Debian 13's kernel (6.12), newest of the release and its security updates.
 * `backports`: the newest kernel of trixie-backports (7.2).
 * Otherwise one exact release, for example `6.12.107+deb13-riscv64`: mirrors keep several patch versions.
 */
export type KernelChoice = string;

/** What an image has: a kernel, modules, packages, programs. */
export interface Profile {
  /** A word for people. */
  name: string;
  kernel: KernelChoice;
  /** Debian packages beside busybox-static; the libraries they depend on come by themselves. */
  packages: readonly string[];
  /** Paths taken out of the packages, with the links and shared libraries they need. */
  programs: readonly string[];
  modules: ModuleChoice;
  /** Names of the modules that are loaded at boot; the others are loaded when they are asked for. */
  load: readonly string[];
  /** Further files; one of the same path replaces ours. */
  files: readonly CpioEntry[];
}

/** Loaded by themselves: ext4 by `mount`, the sock_diag family by whoever asks, overlay by `mount`. */
const MODULES: ModuleChoice = {
  names: [
    ...['virtio_rng', 'virtio_net', 'virtio_blk', 'virtio_balloon'],
    ...['ext4', 'overlay', 'loop'],
    ...['unix_diag', 'inet_diag', 'tcp_diag', 'udp_diag', 'netlink_diag', 'af_packet_diag'],
    ...['veth', 'tun', 'macvlan'],
  ],
  // One name on 6.12, another on 7.2: the checksum that ext4 wants of the crypto API.
  optional: ['crc32c_generic', 'crc32c_cryptoapi'],
};

/** A shell with busybox's tools. */
export function shellProfile(kernel: KernelChoice): Profile {
  return {
    name: 'shell',
    kernel,
    packages: [],
    programs: [],
    modules: MODULES,
    load: ['virtio_rng', 'virtio_net', 'virtio_blk', 'virtio_balloon'],
    files: [],
  };
}

/** The shell's image, and Debian's Redis. */
export function redisProfile(kernel: KernelChoice): Profile {
  return {
    ...shellProfile(kernel),
    name: 'redis',
    packages: ['redis-server', 'redis-tools'],
    programs: ['usr/bin/redis-server', 'usr/bin/redis-cli'],
  };
}

/** The profiles that there are, by name. */
export const PROFILES: Readonly<Record<string, (kernel: KernelChoice) => Profile>> = {
  shell: shellProfile,
  redis: redisProfile,
};

/** @throws ImageError `invalid` for what could not be meant, before anything is fetched. */
export function checkProfile(profile: Profile): void {
  if (!/^(trixie|backports|\d+\.\d+\.[\w.+~-]+)$/.test(profile.kernel)) {
    throw new ImageError(
      'invalid',
      `kernel "${profile.kernel}" is neither trixie, backports, nor a release such as 6.12.107+deb13-riscv64`,
    );
  }
  for (const name of profile.packages) {
    // The name becomes an argument of apt: nothing that apt could take for an option or a file.
    if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name)) throw new ImageError('invalid', `"${name}" is not a package's name`);
  }
}

/** Raised when the same profile is built in another way, so that older images are not taken for it. */
const BUILDER = 1;

/** A key that is the same for the same parts of a profile, and only then. */
export async function partKey(part: unknown): Promise<string> {
  const text = JSON.stringify([BUILDER, part], (_, value: unknown) =>
    value instanceof Uint8Array ? { bytes: Array.from(value) } : value,
  );
  return (await sha256(toBytes(text))).slice(0, 20);
}
