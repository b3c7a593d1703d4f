/** What makes one OS instance differ from another that boots the same image. */
import { buildCpio, type CpioEntry } from './cpio.js';
import { ImageError } from './errors.js';

export interface InstanceConfig {
  hostname?: string;
  /** eth0's addresses, dotted; DHCP is asked when they are not given. */
  network?: { address: string; netmask: string; gateway?: string; nameserver?: string };
  /** A shell script in place of the shell on the console; the guest powers off when it ends. */
  run?: string;
  /** Names of the modules to load at boot, in place of the profile's. */
  load?: readonly string[];
  /** Further files. */
  files?: readonly CpioEntry[];
}

/**
 * A small archive to put behind an image's initramfs ({@link concatCpio}): its files take the place
 * of the image's.
 *
 * @throws ImageError `invalid` for an address or name that /init would not read back as it was meant.
 *
 * @example
 * const initrd = concatCpio([initramfs, instanceArchive({ hostname: 'a', run: 'redis-server --save ""' })]);
 */
export function instanceArchive(config: InstanceConfig): Uint8Array {
  const { hostname, network, run, load, files = [] } = config;
  const entries: CpioEntry[] = [...files];
  const line = (path: string, words: readonly string[]): void => {
    for (const word of words) {
      if (!/^[\w.:-]+$/.test(word)) throw new ImageError('invalid', `"${word}" cannot stand in /${path}`);
    }
    entries.push({ path, mode: 0o644, data: `${words.join(' ')}\n` });
  };
  if (hostname !== undefined) line('etc/hostname', [hostname]);
  if (network !== undefined) {
    const { address, netmask, gateway, nameserver } = network;
    // The fields have no names, so one can only be left out together with those behind it.
    if (gateway === undefined && nameserver !== undefined)
      throw new ImageError('invalid', 'a nameserver wants a gateway');
    line(
      'etc/understudy/network',
      [address, netmask, gateway, nameserver].filter((w) => w !== undefined),
    );
  }
  if (load !== undefined) line('etc/understudy/modules', load);
  if (run !== undefined) entries.push({ path: 'etc/understudy/run', mode: 0o644, data: run });
  return buildCpio(entries);
}
