/**
 * Which files have been written and closed: fanotify(7) tells, by file handles, so that what waits to be read keeps no
 * file alive. It knows what the times of a file do not: a write through a mapping leaves no other trace on tmpfs.
 */
import type { Batch, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, EAGAIN, O } from '../linux/flags.js';
import { check } from '../linux/os.js';

const FAN_CLOEXEC = 1;
const FAN_NONBLOCK = 2;
const FAN_REPORT_FID = 0x200;
const FAN_MARK_ADD = 1;
export const FAN_MARK_MOUNT = 0x10;
export const FAN_MARK_FILESYSTEM = 0x100;
const FAN_CLOSE_WRITE = 8;
const FAN_Q_OVERFLOW = 0x4000;
const FAN_EVENT_INFO_TYPE_FID = 1;
/** Bytes read at once; one event has some 60. */
const ROOM = 0x10000;
/** Reads until what waits must have come to its end: the kernel keeps 16,384 events. */
const MOST_READS = 40;

/** A file as the kernel names it where no path does. Plain data. */
export interface FileHandle {
  /** `fsid` of its file system, as statfs(2) tells it. */
  readonly fsid: string;
  /** `struct file_handle`: handle_bytes u32, handle_type i32, f_handle. */
  readonly handle: Uint8Array;
}

/** Adds the making of a watch. */
export function addWatch(b: Batch): Ref {
  return b.call(SYS.fanotify_init, FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_FID, O.RDONLY | O.LARGEFILE);
}

/** Adds the watching of a mount or a file system, by a path on it. */
export function addMark(b: Batch, watch: number | Ref, kind: number, path: string): Ref {
  return b.call(SYS.fanotify_mark, watch, FAN_MARK_ADD | kind, FAN_CLOSE_WRITE, AT_FDCWD, b.str(path));
}

/** What was written and closed since it was last asked; undefined: more than the kernel could note. `watch`: a descriptor of the hands. */
export async function readWatch(hands: Hands, watch: number): Promise<FileHandle[] | undefined> {
  const found = new Map<string, FileHandle>();
  let overflow = false;
  for (let reads = 0; reads < MOST_READS; reads++) {
    const b = hands.batch();
    const out = b.out(ROOM);
    const n = b.call(SYS.read, watch, out, ROOM);
    const r = await b.run();
    if (r.value(n) === -EAGAIN) break;
    const bytes = r.bytes(out, check(r.value(n), 'reading what has been written'));
    for (const event of parseEvents(bytes)) {
      if (event === 'overflow') overflow = true;
      else found.set(`${event.fsid} ${event.handle.join()}`, event);
    }
    if (bytes.length < ROOM / 2) break;
  }
  return overflow ? undefined : [...found.values()];
}

/**
 * `struct fanotify_event_metadata`: event_len u32, vers u8, reserved u8, metadata_len u16, mask u64, fd, pid; then
 * `struct fanotify_event_info_fid`: info_type u8, pad u8, len u16, fsid 8 bytes, `struct file_handle`.
 */
function parseEvents(bytes: Uint8Array): ('overflow' | FileHandle)[] {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: ('overflow' | FileHandle)[] = [];
  for (let at = 0; at + 24 <= bytes.length;) {
    const length = v.getUint32(at, true);
    if (length < 24 || at + length > bytes.length) break;
    const end = at + length;
    let info = at + v.getUint16(at + 6, true);
    if ((Number(v.getBigUint64(at + 8, true)) & FAN_Q_OVERFLOW) !== 0) out.push('overflow');
    else if (info + 20 <= end && v.getUint8(info) === FAN_EVENT_INFO_TYPE_FID) {
      const fsid = `${v.getUint32(info + 4, true)} ${v.getUint32(info + 8, true)}`;
      info += 12;
      const size = 8 + v.getUint32(info, true);
      if (info + size <= end) out.push({ fsid, handle: bytes.slice(info, info + size) });
    }
    at = end;
  }
  return out;
}

/** The inode number in a handle of a file on tmpfs (generation, then 64 bits) or one as most others have (32 bits, generation). */
export function inodeOf({ handle }: FileHandle): number {
  const v = new DataView(handle.buffer, handle.byteOffset, handle.length);
  return v.getUint32(0, true) >= 12 ? v.getUint32(12, true) + v.getUint32(16, true) * 2 ** 32 : v.getUint32(8, true);
}
