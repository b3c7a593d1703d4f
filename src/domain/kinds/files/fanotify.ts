import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { forget, isFanotify } from '../../files/events.js';
import { FAN_MARK, groupOf, linesOf, marksOf, type Group, type Mark } from '../../files/marks.js';
import { askAll } from '../../linux/ask-all.js';
import { AT_FDCWD, F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fileKind } from '../kind.js';
import { lookAtWatched, wayToWatched } from './watched.js';

const FD_CLOEXEC = 1;
const CAP_SYS_ADMIN = 21n;
const ON = { inode: 0, mount: FAN_MARK.MOUNT, filesystem: FAN_MARK.FILESYSTEM } as const;

interface FanotifyState {
  readonly flags: number;
  readonly group: Group;
  readonly marks: readonly Mark[];
}

/** Groups of fanotify(7) that are told what is done, not asked whether it may be. */
export const fanotify = fileKind<FanotifyState>({
  name: 'fanotify',
  keeps:
    'groups with their flags; marks of files, mounts and file systems with what they ignore, also of deleted files that are open',
  refuses:
    'events that were not read; groups that decide what others may do; those of who is not privileged; marks of files and mounts that are not found; marks that tell of openings, readings or closings in a file system of its own',
  independent: true,
  matches: isFanotify,
  describe(view, { pid, status }) {
    groupOf(view);
    linesOf(view);
    // What it is told is less, which no group that the hands make is.
    if (((status.caps.effective >> CAP_SYS_ADMIN) & 1n) === 0n)
      throw unsupported('fanotify of who is not privileged', `descriptor ${view.fd} of process ${pid}`);
  },
  async inspect(context, file) {
    await lookAtWatched(context, file, marksOf);
  },
  async checkpoint(context, file) {
    const { view } = file;
    const marks = await lookAtWatched(context, file, marksOf);
    return { flags: view.info.flags & ~O.CLOEXEC, group: groupOf(view), marks };
  },
  async restore(context, { flags, group, marks }) {
    const { hands } = context;
    const b = hands.batch();
    // Its flags are shown for ever: no others are said, though it shall be closed on exec here too.
    const made = b.call(SYS.fanotify_init, group.flags, group.eventFlags);
    b.call(SYS.fcntl, made, F.SETFD, FD_CLOEXEC);
    const fd = check((await b.run()).value(made), 'making a fanotify group');
    return making(hands, async (note) => {
      note(fd);
      // The kernel tells the newest first.
      await askAll(hands, [...marks].reverse(), 2, (c, m) => {
        const at = c.str(wayToWatched(context, m));
        const follow = m.ghost === undefined ? FAN_MARK.DONT_FOLLOW : 0;
        const how = FAN_MARK.ADD | ON[m.on] | follow | (m.flags & FAN_MARK.EVICTABLE);
        const ignoring =
          (m.flags & FAN_MARK.IGNORE) === 0
            ? FAN_MARK.IGNORED_MASK | (m.flags & FAN_MARK.IGNORED_SURV_MODIFY)
            : m.flags & (FAN_MARK.IGNORE | FAN_MARK.IGNORED_SURV_MODIFY);
        const refs = [
          ...(m.mask === 0 ? [] : [c.call(SYS.fanotify_mark, fd, how, m.mask, AT_FDCWD, at)]),
          ...(m.ignored === 0 ? [] : [c.call(SYS.fanotify_mark, fd, how | ignoring, m.ignored, AT_FDCWD, at)]),
        ];
        return (r) => {
          for (const ref of refs) check(r.value(ref), `marking ${m.path}`);
        };
      });
      check(await hands.syscall(SYS.fcntl, fd, F.SETFL, flags), 'setting the flags of a fanotify group');
      return fd;
    });
  },
  // What the restoration itself has done to marked files.
  activate: ({ hands }, fd, { flags }) => forget(hands, fd, 'fanotify', flags),
});
