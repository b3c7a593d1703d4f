/**
 * How a running guest finds what it was given, a device in a slot or a hart, and lets go of it again: by its own means,
 * which its hands set going in sysfs.
 */
import { shortFolder, writeText } from './hands/files.js';
import type { Hands } from './hands/hands.js';
import { SYS } from './hands/syscalls.js';

const RESCAN = '/sys/bus/pci/rescan';
const DEVICES = '/sys/bus/pci/devices';

const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_EXCL = 0o200;
const O_CLOEXEC = 0o2000000;
const EBUSY = 16;

/** As the kernel names what is in a slot of the first bus: `0000:00:05.0`. */
export const pciAddress = (slot: number): string => `0000:00:${slot.toString(16).padStart(2, '0')}.0`;

/** What a guest made of a device. */
export interface Found {
  /** Its kernel has found the function. */
  readonly isThere: boolean;
  /** Its driver has it. */
  readonly isDriven: boolean;
  /** A disk's name (`vdb`), or a card's interface (`eth1`) if that is in the namespace of the hands. */
  readonly name: string | undefined;
}

/** Has the guest look for what is new on its bus. 0, or `-errno`. */
export const rescan = (hands: Hands): Promise<number> => writeText(hands, RESCAN, '1');

export async function look(hands: Hands, slot: number): Promise<Found> {
  const at = `${DEVICES}/${pciAddress(slot)}`;
  const entries = await shortFolder(hands, at);
  const virtio = entries?.find((name) => /^virtio\d+$/.test(name));
  const isDriven = virtio !== undefined && ((await shortFolder(hands, `${at}/${virtio}`))?.includes('driver') ?? false);
  let name: string | undefined;
  for (const kind of ['block', 'net']) {
    if (isDriven) name ??= (await shortFolder(hands, `${at}/${virtio}/${kind}`))?.[0];
  }
  return { isThere: entries !== undefined, isDriven, name };
}

/** Has the guest's kernel begin to run on one of its harts, or stop doing so. 0, or `-errno`. */
export const setOnline = (hands: Hands, hart: number, online: boolean): Promise<number> =>
  writeText(hands, `/sys/devices/system/cpu/cpu${hart}/online`, online ? '1' : '0');

/** Whether a guest has let go, or why not. */
export type LetGo = 'done' | 'in-use' | { readonly errno: number; readonly what: string };

/**
 * Has the guest let go of a disk: what it has not written yet it writes. Nobody may have it mounted, as swap, or in any
 * other way for himself; and nobody can while this goes on.
 */
export async function letGoOfDisk(hands: Hands, slot: number, name: string): Promise<LetGo> {
  const opening = hands.batch();
  const opened = opening.call(SYS.openat, AT_FDCWD, opening.str(`/dev/${name}`), O_RDONLY | O_EXCL | O_CLOEXEC, 0);
  const fd = (await opening.run()).value(opened);
  if (fd === -EBUSY) return 'in-use';
  if (fd < 0) return { errno: -fd, what: `opening /dev/${name}` };
  const b = hands.batch();
  const written = b.call(SYS.fsync, fd);
  const isWritten = (await b.run()).value(written);
  const gone = isWritten < 0 ? isWritten : await remove(hands, slot);
  const closing = hands.batch();
  closing.call(SYS.close, fd);
  await closing.run();
  if (isWritten < 0) return { errno: -isWritten, what: `writing out /dev/${name}` };
  return gone < 0 ? { errno: -gone, what: 'removing it' } : 'done';
}

/** Has the guest let go of whatever is in a slot, and forget it. */
export async function letGo(hands: Hands, slot: number): Promise<LetGo> {
  const gone = await remove(hands, slot);
  return gone < 0 ? { errno: -gone, what: 'removing it' } : 'done';
}

const remove = (hands: Hands, slot: number): Promise<number> =>
  writeText(hands, `${DEVICES}/${pciAddress(slot)}/remove`, '1');
