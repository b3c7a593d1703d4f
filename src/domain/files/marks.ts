/** What a group of fanotify(7) has marked, as /proc/PID/fdinfo tells it. */
import type { Hands } from '../../guest/hands/hands.js';
import { unsupported } from '../errors.js';
import { mountIds, readText } from '../linux/os.js';
import { parseMountinfo, type Mount } from '../mounts/mountinfo.js';
import type { DescriptorView } from '../proc/survey.js';
import { filesByHandle, handleIn, kernelDevice } from './watches.js';

export const FAN_EVENT_INFO_TYPE_PIDFD = 4;
export const FAN_MARK = {
  ADD: 1,
  DONT_FOLLOW: 4,
  MOUNT: 0x10,
  IGNORED_MASK: 0x20,
  IGNORED_SURV_MODIFY: 0x40,
  FILESYSTEM: 0x100,
  EVICTABLE: 0x200,
  IGNORE: 0x400,
} as const;
/** Up to FAN_REPORT_TARGET_FID: what kernels of all ages know. */
const KNOWN_FLAGS = 0x1fff;
/** FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, FAN_PRE_ACCESS. */
const DECISIONS = 0x170000;
/** All other events up to FAN_RENAME, FAN_EVENT_ON_CHILD, FAN_ONDIR. */
const KNOWN_EVENTS = 0x58009fff;
/** More are refused. */
const MOST_MARKS = 10_000;

/** As fanotify_init(2) was told. */
export interface Group {
  readonly flags: number;
  readonly eventFlags: number;
}

/** A mark. Plain data. */
export interface Mark {
  readonly on: 'inode' | 'mount' | 'filesystem';
  readonly mask: number;
  readonly ignored: number;
  readonly flags: number;
  readonly path: string;
  /** Key of a file whose name is gone. */
  readonly ghost: string | undefined;
}

interface Line extends Omit<Mark, 'path' | 'ghost'> {
  /** The device of the file system, or the id of the mount. */
  readonly of: number;
  readonly type: number;
  readonly handle: Uint8Array;
}

const hex = (text: string, key: string): number =>
  parseInt(new RegExp(`(?:^| )${key}:([0-9a-f]+)`).exec(text)?.[1] ?? '', 16);

/** `fanotify flags:200 event-flags:8000`, in hexadecimal. Throws `unsupported`. */
export function groupOf(view: DescriptorView): Group {
  const value = view.info.lines.find(([key]) => key === 'fanotify flags')?.[1] ?? '';
  const [flags, eventFlags] = [parseInt(value, 16), hex(value, 'event-flags')];
  if (Number.isNaN(flags) || Number.isNaN(eventFlags) || (flags & ~KNOWN_FLAGS) !== 0)
    throw unsupported('fanotify with flags of a newer kernel', `descriptor ${view.fd}`);
  return { flags, eventFlags };
}

/**
 * `fanotify ino:c sdev:800013 mflags:0 mask:3b ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:…`, or `mnt_id:12` or
 * `sdev:800013` in the place of the file. Throws `unsupported`.
 */
export function linesOf(view: DescriptorView): Line[] {
  const where = `descriptor ${view.fd}`;
  const lines = view.info.lines.filter(([key]) => key.startsWith('fanotify ') && key !== 'fanotify flags');
  if (lines.length > MOST_MARKS) throw unsupported('very many marks of fanotify', where);
  return lines.map(([key, value]): Line => {
    const on = ON[key];
    const [mask, ignored, flags] = [hex(value, 'mask'), hex(value, 'ignored_mask'), hex(value, 'mflags')];
    const all = mask | ignored;
    if (on === undefined || Number.isNaN(mask) || Number.isNaN(ignored) || Number.isNaN(flags))
      throw unsupported('a mark of fanotify of an unknown sort', where);
    if ((all & DECISIONS) !== 0) throw unsupported('fanotify that decides what others may do', where);
    if ((all & ~KNOWN_EVENTS) !== 0) throw unsupported('a mark of fanotify of an unknown sort', where);
    const file = on === 'inode' ? handleIn(value, where) : { type: 0, handle: new Uint8Array(0) };
    return { on, mask, ignored, flags, of: on === 'inode' ? hex(value, 'sdev') : parseInt(value, 16), ...file };
  });
}

const ON: Readonly<Record<string, Mark['on']>> = {
  'fanotify ino': 'inode',
  'fanotify mnt_id': 'mount',
  'fanotify sdev': 'filesystem',
};

/** What a group has marked, by paths from the root of a process. Throws `unsupported`. */
export async function marksOf(hands: Hands, view: DescriptorView, pid: number): Promise<Mark[]> {
  const lines = linesOf(view);
  if (lines.length === 0) return [];
  const where = `descriptor ${view.fd}`;
  const inodes = lines.filter((l) => l.on === 'inode');
  const files = await filesByHandle(
    hands,
    inodes.map(({ of, type, handle }) => ({ sdev: of, type, handle })),
    pid,
    where,
  );
  const found = new Map(inodes.map((line, i) => [line, files[i]]));
  const mounts = inodes.length === lines.length ? [] : await reachableMounts(hands, pid);
  return lines.map((line) => {
    const { on, mask, ignored, flags, of } = line;
    const mount = mounts.find((m) => (on === 'mount' ? m.id : kernelDevice(m)) === of);
    const at =
      on === 'inode' ? found.get(line) : mount === undefined ? undefined : { path: mount.point, ghost: undefined };
    if (at === undefined) throw unsupported('a mark of fanotify on a mount that is not found', where);
    return { on, mask, ignored, flags, ...at };
  });
}

/** Mounts that their places lead to: nothing is mounted over them, nor on the way there. */
async function reachableMounts(hands: Hands, pid: number): Promise<Mount[]> {
  const mounts = parseMountinfo((await readText(hands, `/proc/${pid}/mountinfo`)) ?? '');
  const ids = await mountIds(
    hands,
    mounts.map((m) => `/proc/${pid}/root${m.point}`),
  );
  return mounts.filter((m, i) => ids[i] === m.id);
}
