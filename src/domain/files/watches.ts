import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { closeAll } from '../linux/making.js';
import { parseStat, readLinks, readText } from '../linux/os.js';
import type { DescriptorView } from '../proc/survey.js';
import { parseMountinfo, type Mount } from '../mounts/mountinfo.js';
import { inodeKey } from './inode.js';
import { DELETED } from '../proc/deleted.js';

/** Watches with higher numbers are refused: numbers are given out one after the other. */
const MOST = 100_000;
/** What of a mask a program has asked for: events, IN_EXCL_UNLINK, IN_ONESHOT. */
const ASKED = 0x84000fff;

/** A watch of inotify(7). Plain data. */
export interface Watch {
  readonly wd: number;
  readonly mask: number;
  readonly path: string;
  /** Key of a file whose name is gone. */
  readonly ghost: string | undefined;
}

/** A file as the kernel names it where no path does. */
interface Handle {
  /** The device of its file system, as the kernel has it. */
  readonly sdev: number;
  readonly type: number;
  readonly handle: Uint8Array;
}

interface Line extends Handle {
  readonly wd: number;
  readonly mask: number;
}

/** `inotify wd:1 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e9e0000640d1b6d`, in hexadecimal. */
const LINE = /^([0-9a-f]+) ino:[0-9a-f]+ sdev:([0-9a-f]+) mask:([0-9a-f]+) /;
const HANDLE = / fhandle-bytes:([0-9a-f]+) fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+)/;

/** The handle at the end of a line. Throws `unsupported` for a file that has none. */
export function handleIn(line: string, where: string): Pick<Handle, 'type' | 'handle'> {
  const [, bytes = '', type = '', hex = ''] = HANDLE.exec(line) ?? [];
  const length = parseInt(bytes, 16);
  if (Number.isNaN(length) || hex.length < 2 * length) throw unsupported('a watch of a file that has no handle', where);
  const handle = Uint8Array.from({ length }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
  return { type: parseInt(type, 16), handle };
}

/** The watches of an inotify instance, as fdinfo tells them. Throws `unsupported`. */
export function linesOf(view: DescriptorView): Line[] {
  return view.info.lines
    .filter(([key]) => key === 'inotify wd')
    .map(([, value]) => {
      const where = `descriptor ${view.fd}`;
      const found = LINE.exec(value);
      if (found === null) throw unsupported('a watch of a file that has no handle', where);
      const [wd = 0, sdev = 0, mask = 0] = found.slice(1).map((x) => parseInt(x, 16));
      if (wd > MOST) throw unsupported('a watch with a very high number', where);
      return { wd, sdev, mask: (mask & ASKED) >>> 0, ...handleIn(value, where) };
    })
    .sort((a, b) => a.wd - b.wd);
}

/** What an inotify instance watches: the kernel tells handles of the files, by which the hands find them. */
export async function watchesOf(hands: Hands, view: DescriptorView, pid: number): Promise<Watch[]> {
  const lines = linesOf(view);
  const files = await filesByHandle(hands, lines, pid, `descriptor ${view.fd}`);
  return lines.map(({ wd, mask }, i) => ({ wd, mask, ...files[i] }));
}

/** Where files are, in their order, by the mounts and the root of a process; of one whose name is gone, the name it had, and its key. Throws `unsupported` if one is not found. */
export async function filesByHandle(
  hands: Hands,
  lines: readonly Handle[],
  pid: number,
  where: string,
): Promise<Pick<Watch, 'path' | 'ghost'>[]> {
  if (lines.length === 0) return [];
  const mounts = await mountsByDevice(hands, pid);
  const roots = [...new Set(lines.map((l) => l.sdev))].map((sdev) => ({ sdev, at: mounts.get(sdev) }));
  for (const { at } of roots) if (at === undefined) throw unsupported('a watch of a file that is not found', where);
  const mountFds = await askAll(hands, roots, 1, (b, { at }) => {
    const fd = b.call(
      SYS.openat,
      AT_FDCWD,
      b.str(`/proc/${pid}/root${at ?? ''}`),
      O.RDONLY | O.NONBLOCK | O.CLOEXEC,
      0,
    );
    return (r) => r.value(fd);
  });
  const fds: number[] = [];
  try {
    const found = await askAll(hands, lines, 2, (b, { sdev, type, handle }) => {
      // struct file_handle: bytes u32, type i32, the handle.
      const bytes = new Uint8Array(8 + handle.length);
      new DataView(bytes.buffer).setUint32(0, handle.length, true);
      new DataView(bytes.buffer).setInt32(4, type, true);
      bytes.set(handle, 8);
      const mount = mountFds[roots.findIndex((r) => r.sdev === sdev)] ?? -1;
      const fd = b.call(SYS.open_by_handle_at, mount, b.bytes(bytes), O.PATH | O.NOFOLLOW | O.CLOEXEC);
      const stat = b.out(128);
      b.call(SYS.fstat, fd, stat);
      return (r) => {
        fds.push(r.value(fd));
        return { fd: r.value(fd), stat: parseStat(r.view(stat)) };
      };
    });
    if (found.some(({ fd }) => fd < 0)) throw unsupported('a watch of a file that is not found', where);
    const paths = await readLinks(
      hands,
      found.map(({ fd }) => `/proc/self/fd/${fd}`),
    );
    return lines.map((_, i) => {
      const shown = paths[i] ?? '';
      const stat = found[i]?.stat;
      // One that is left has at least a name; a folder has two.
      const gone = stat?.nlink === 0 && shown.endsWith(DELETED);
      if (!shown.startsWith('/') || stat === undefined) throw unsupported('a watch of a file without a name', where);
      const path = gone ? shown.slice(0, -DELETED.length) : shown;
      return { path, ghost: gone ? inodeKey(stat.dev, stat.ino) : undefined };
    });
  } finally {
    await closeAll(hands, [...mountFds, ...fds]);
  }
}

/** Of a mount's file system as the kernel has it: major in the upper bits, minor in the lower 20. */
export function kernelDevice({ dev }: Mount): number {
  const [major = 0, minor = 0] = dev.split(':').map(Number);
  return major * 2 ** 20 + minor;
}

/** A mount of each file system, by its device. */
async function mountsByDevice(hands: Hands, pid: number): Promise<Map<number, string>> {
  const out = new Map<number, string>();
  for (const mount of parseMountinfo((await readText(hands, `/proc/${pid}/mountinfo`)) ?? '')) {
    // A file is found below its mount only: one that shows all of the file system serves for all.
    if (mount.root === '/') out.set(kernelDevice(mount), mount.point);
  }
  return out;
}
