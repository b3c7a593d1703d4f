import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { drain, forget, isInotify } from '../../files/events.js';
import { linesOf, watchesOf, type Watch } from '../../files/watches.js';
import { F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fileKind } from '../kind.js';
import { lookAtWatched, wayToWatched } from './watched.js';

const IN_DONT_FOLLOW = 0x02000000;
/** Numbers skipped in one batch, by two calls each. */
const SKIPS = 200;

interface InotifyState {
  readonly flags: number;
  readonly watches: readonly Watch[];
}

/** Watches of files and folders (inotify(7)), with their numbers. */
export const inotify = fileKind<InotifyState>({
  name: 'inotify',
  keeps: 'watches with their numbers and masks, also of deleted files that are open',
  refuses:
    'events that were not read; a watch of a file that is not found by its handle, as in a layer; one that tells of openings, readings or closings in a file system of its own',
  independent: true,
  matches: isInotify,
  describe: (view) => void linesOf(view),
  async inspect(context, file) {
    await lookAtWatched(context, file, watchesOf);
  },
  async checkpoint(context, file) {
    return { flags: file.view.info.flags & ~O.CLOEXEC, watches: await lookAtWatched(context, file, watchesOf) };
  },
  async restore(context, { flags, watches }) {
    const { hands } = context;
    const b = hands.batch();
    const made = b.call(SYS.inotify_init1, O.NONBLOCK | O.CLOEXEC);
    const fd = check((await b.run()).value(made), 'making an inotify instance');
    return making(hands, async (note) => {
      note(fd);
      let next = 1;
      for (const watch of watches) {
        const { wd, mask, path, ghost } = watch;
        const at = wayToWatched(context, watch);
        const how = ghost === undefined ? mask | IN_DONT_FOLLOW : mask;
        next = await skip(hands, fd, at, how, next, wd);
        const c = hands.batch();
        const watched = c.call(SYS.inotify_add_watch, fd, c.str(at), how >>> 0);
        const number = check((await c.run()).value(watched), `watching ${path}`);
        if (number !== wd) throw new DomainError('guest', `the watch of ${path} has another number`);
        next++;
      }
      await drain(hands, fd, 'inotify');
      check(await hands.syscall(SYS.fcntl, fd, F.SETFL, flags), 'setting the flags of an inotify instance');
      return fd;
    });
  },
  // What the restoration itself has done to watched files.
  activate: ({ hands }, fd, { flags }) => forget(hands, fd, 'inotify', flags),
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
    await drain(hands, fd, 'inotify');
  }
  return next;
}
