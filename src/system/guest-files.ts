/** What a launcher adds to the file system of one of our images: an archive behind the image's own. */
import { buildCpio, type CpioEntry } from '../image/index.js';
import { SystemError } from './errors.js';

/** A file of the guest: its contents, or also its mode (0644, with a script 0755, unless told). */
export type GuestFile = string | Uint8Array | { readonly data: string | Uint8Array; readonly mode: number };

/** Files by absolute path. */
export type GuestFiles = Readonly<Record<string, GuestFile>>;

export interface GuestSetup {
  readonly hostname: string;
  /** See Network.settings; none: DHCP. */
  readonly network?: string;
  /** A shell script that runs in place of the interactive shell; the guest powers off when it ends. */
  readonly run?: string;
  readonly files?: GuestFiles;
}

/** Throws SystemError `invalid` for a path that is not absolute. */
export function guestArchive({ hostname, network, run, files = {} }: GuestSetup): Uint8Array {
  const all: GuestFiles = {
    '/etc/hostname': `${hostname}\n`,
    ...(network !== undefined && { '/etc/understudy/network': network }),
    ...(run !== undefined && { '/etc/understudy/run': run }),
    ...files,
  };
  return buildCpio(Object.entries(all).map(([path, file]) => entryOf(path, file)));
}

function entryOf(path: string, file: GuestFile): CpioEntry {
  if (!path.startsWith('/')) throw new SystemError('invalid', `a guest's file needs an absolute path, not ${path}`);
  const { data, mode } =
    typeof file === 'string' || file instanceof Uint8Array ? { data: file, mode: defaultMode(file) } : file;
  return { path: path.slice(1), data, mode };
}

function defaultMode(data: string | Uint8Array): number {
  const isScript = typeof data === 'string' ? data.startsWith('#!') : data[0] === 0x23 && data[1] === 0x21;
  return isScript ? 0o755 : 0o644;
}
