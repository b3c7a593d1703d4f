import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported, unsupportedNow } from '../../errors.js';
import { FIONREAD } from '../../files/pipe-contents.js';
import { ghostPlaces } from '../../files/places.js';
import { isInotify, watchesOf, type Watch } from '../../files/watches.js';
import { F, O } from '../../linux/flags.js';
import { askAll } from '../../linux/ask-all.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { domainKind, fileKind, type LookContext, type OpenFile } from '../kind.js';

const IN_DONT_FOLLOW = 0x02000000;
/** Numbers skipped in one batch, by two calls each. */
const SKIPS = 200;
const EVENTS = 0x8000;
/** Reads of {@link EVENTS}: 16384 events, the most that wait unless a system is told otherwise, of 272 bytes at most. */
const DRAINS = 150;

interface InotifyState {
  readonly flags: number;
  readonly watches: readonly Watch[];
}

async function lookAtWatches({ hands, views }: LookContext, file: OpenFile): Promise<Watch[]> {
  const user = views.find((v) => v.pid === file.users[0]?.pid);
  if (user === undefined) throw new DomainError('lost', 'a process is gone');
  const watches = await watchesOf(hands, file.view, user.hostPid);
  const places = new Set(ghostPlaces(views).map((p) => p.path));
  for (const w of watches)
    if (w.ghost !== undefined && !places.has(w.path)) throw unsupported('a watch of a deleted file', w.path);
  return watches;
}

/** Watches of files and folders (inotify(7)), with their numbers. */
export const inotify = fileKind<InotifyState>({
  name: 'inotify',
  keeps: 'watches with their numbers and masks, also of deleted files that are open',
  refuses: 'events that were not read; a watch of a file that is not found by its handle',
  independent: true,
  matches: isInotify,
  async inspect(context, file) {
    await lookAtWatches(context, file);
  },
  async checkpoint(context, file) {
    return { flags: file.view.info.flags & ~O.CLOEXEC, watches: await lookAtWatches(context, file) };
  },
  async restore({ hands, anchor, objectFds }, { flags, watches }) {
    const b = hands.batch();
    const made = b.call(SYS.inotify_init1, O.NONBLOCK | O.CLOEXEC);
    const fd = check((await b.run()).value(made), 'making an inotify instance');
    return making(hands, async (note) => {
      note(fd);
      let next = 1;
      for (const { wd, mask, path, ghost } of watches) {
        const at =
          ghost === undefined ? `/proc/${anchor.pid}/root${path}` : `/proc/self/fd/${objectFds.get(ghost) ?? -1}`;
        const how = ghost === undefined ? mask | IN_DONT_FOLLOW : mask;
        next = await skip(hands, fd, at, how, next, wd);
        const c = hands.batch();
        const watched = c.call(SYS.inotify_add_watch, fd, c.str(at), how >>> 0);
        const number = check((await c.run()).value(watched), `watching ${path}`);
        if (number !== wd) throw new DomainError('guest', `the watch of ${path} has another number`);
        next++;
      }
      await drain(hands, fd);
      check(await hands.syscall(SYS.fcntl, fd, F.SETFL, flags), 'setting the flags of an inotify instance');
      return fd;
    });
  },
  async activate({ hands }, fd, { flags }) {
    // What the restoration itself has done to watched files.
    await hands.syscall(SYS.fcntl, fd, F.SETFL, flags | O.NONBLOCK);
    await drain(hands, fd);
    await hands.syscall(SYS.fcntl, fd, F.SETFL, flags);
  },
});

/** Uses up numbers, which the kernel gives out one after the other, by a watch (`at`, `how`) that is not there yet. */
async function skip(hands: Hands, fd: number, at: string, how: number, from: number, to: number): Promise<number> {
  let next = from;
  while (next < to) {
    const b = hands.batch();
    const name = b.str(at);
    for (let i = 0; i < SKIPS && next < to; i++, next++)
      b.call(SYS.inotify_rm_watch, fd, b.call(SYS.inotify_add_watch, fd, name, how >>> 0));
    await b.run();
    await drain(hands, fd);
  }
  return next;
}

/**
 * Takes all events out. The descriptor does not block. Others may make events as fast as they are read: what is there after
 * as many as a queue can hold is theirs.
 */
async function drain(hands: Hands, fd: number): Promise<void> {
  for (let turn = 0; turn < DRAINS; turn++) {
    const b = hands.batch();
    const n = b.call(SYS.read, fd, b.out(EVENTS), EVENTS);
    if ((await b.run()).value(n) <= 0) return;
  }
}

/**
 * Refuses events that were not read. They are looked for before anybody opens a file to read it, which may be watched.
 */
export const unreadEvents = domainKind<null>({
  name: 'unread events',
  keeps: 'nothing: an event of inotify cannot be made again',
  refuses: 'unread inotify events',
  describe: refuseUnread,
  async checkpoint(context) {
    await refuseUnread(context);
    const { hands, views, undo } = context;
    const all = instancesOf(views);
    // What we open, read and close meanwhile may be watched: nobody shall hear of it.
    if (all.length > 0) undo.addLast('taking out events of our own', () => forget(hands, all));
    return null;
  },
  restore: () => Promise.resolve(),
});

/** A descriptor of a process for an inotify instance. */
interface Instance {
  readonly hostPid: number;
  readonly pid: number;
  readonly fd: number;
}

const instancesOf = (views: LookContext['views']): Instance[] =>
  views.flatMap(({ hostPid, pid, descriptors }) =>
    descriptors.filter(isInotify).map((d) => ({ hostPid, pid, fd: d.fd })),
  );

/** Takes events out that came while nobody could read them. */
async function forget(hands: Hands, all: readonly Instance[]): Promise<void> {
  for (const { hostPid, fd } of all) {
    for (let turn = 0; turn < DRAINS; turn++) {
      const b = hands.batch();
      const pidfd = b.must(SYS.pidfd_open, hostPid, 0);
      const got = b.call(SYS.pidfd_getfd, pidfd, fd, 0);
      b.call(SYS.close, pidfd);
      const flags = b.call(SYS.fcntl, got, F.GETFL);
      b.call(SYS.fcntl, got, F.SETFL, O.NONBLOCK);
      const n = b.call(SYS.read, got, b.out(EVENTS), EVENTS);
      b.call(SYS.fcntl, got, F.SETFL, flags);
      b.call(SYS.close, got);
      if ((await b.run()).value(n) <= 0) break;
    }
  }
}

async function refuseUnread({ hands, views }: LookContext): Promise<void> {
  const all = instancesOf(views);
  if (all.length === 0) return;
  const waiting = await askAll(hands, all, 5, (b, { hostPid, fd }) => {
    const length = b.out(8);
    const pidfd = b.call(SYS.pidfd_open, hostPid, 0);
    const got = b.call(SYS.pidfd_getfd, pidfd, fd, 0);
    b.call(SYS.ioctl, got, FIONREAD, length);
    b.call(SYS.close, got);
    b.call(SYS.close, pidfd);
    return (r) => (r.value(got) < 0 ? 0 : r.view(length).getInt32(0, true));
  });
  waiting.forEach((bytes, i) => {
    const one = all[i];
    if (bytes > 0) throw unsupportedNow('unread inotify events', `descriptor ${one?.fd} of process ${one?.pid}`);
  });
}
