/** Events of inotify(7) and fanotify(7) that wait to be read. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { EAGAIN, F, O } from '../linux/flags.js';
import { closeAll, whileOpen } from '../linux/making.js';
import { check } from '../linux/os.js';
import type { DescriptorView, ProcessView } from '../proc/survey.js';
import { FAN_EVENT_INFO_TYPE_PIDFD } from './marks.js';

const ROOM = 0x8000;
/** Reads of {@link ROOM}: 16384 events, the most that wait unless a system is told otherwise, of 272 bytes at most. */
const MOST_READS = 150;
/** `struct fanotify_event_metadata`: length u32, version u8, u8, its own length u16, mask u64, descriptor i32, pid i32. */
const METADATA = 24;

export const isInotify = (view: DescriptorView): boolean => view.link === 'anon_inode:inotify';
export const isFanotify = (view: DescriptorView): boolean => view.link === 'anon_inode:[fanotify]';

/** A descriptor of a process by which events are read. */
export interface Listener {
  readonly hostPid: number;
  readonly pid: number;
  readonly fd: number;
  readonly what: 'inotify' | 'fanotify';
}

export const listenersOf = (views: readonly ProcessView[]): Listener[] =>
  views.flatMap(({ hostPid, pid, descriptors }) =>
    descriptors
      .filter((d) => isInotify(d) || isFanotify(d))
      .map((d) => ({ hostPid, pid, fd: d.fd, what: isInotify(d) ? 'inotify' : 'fanotify' })),
  );

/**
 * Takes all events out. The descriptor does not block. Others may make events as fast as they are read: what is there after
 * as many as a queue can hold is theirs.
 */
export async function drain(hands: Hands, fd: number, what: Listener['what']): Promise<void> {
  for (let turn = 0; turn < MOST_READS; turn++) {
    const b = hands.batch();
    const out = b.out(ROOM);
    const n = b.call(SYS.read, fd, out, ROOM);
    const r = await b.run();
    const length = r.value(n);
    if (length === 0 || length === -EAGAIN || (length < 0 && what === 'inotify')) return;
    // A read of fanotify opens the files that are told of; where it cannot, that event is gone.
    if (what === 'fanotify' && length > 0) await closeAll(hands, descriptorsIn(r.bytes(out, length)));
  }
}

/** As {@link drain}, for a descriptor that may block. `flags`: its status flags. */
export async function forget(hands: Hands, fd: number, what: Listener['what'], flags: number): Promise<void> {
  check(await hands.syscall(SYS.fcntl, fd, F.SETFL, flags | O.NONBLOCK), `taking out events of ${what}`);
  await drain(hands, fd, what);
  check(await hands.syscall(SYS.fcntl, fd, F.SETFL, flags), `setting the flags of ${what}`);
}

/** Descriptors that came with events of fanotify. */
function descriptorsIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: number[] = [];
  for (let at = 0; at + METADATA <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < METADATA || at + length > bytes.length) break;
    out.push(view.getInt32(at + 16, true));
    // struct fanotify_event_info_header: type u8, u8, length u16.
    for (let info = at + view.getUint16(at + 6, true); info + 8 <= at + length;) {
      const size = view.getUint16(info + 2, true);
      if (size < 8) break;
      if (view.getUint8(info) === FAN_EVENT_INFO_TYPE_PIDFD) out.push(view.getInt32(info + 4, true));
      info += size;
    }
    at += length;
  }
  return out;
}

/** Takes out of what frozen processes have events that came while they could not read them. */
export async function forgetEvents(hands: Hands, listeners: readonly Listener[]): Promise<void> {
  // One after the other: two descriptors may be of the same.
  for (const { hostPid, fd, what } of listeners) {
    const b = hands.batch();
    const pidfd = b.must(SYS.pidfd_open, hostPid, 0);
    const got = b.call(SYS.pidfd_getfd, pidfd, fd, 0);
    b.call(SYS.close, pidfd);
    const flags = b.call(SYS.fcntl, got, F.GETFL);
    const r = await b.run();
    const held = check(r.value(got), 'holding what events are read by');
    await whileOpen(hands, held, () => forget(hands, held, what, r.value(flags)));
  }
}
