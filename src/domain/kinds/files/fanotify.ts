import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported, unsupportedNow } from '../../errors.js';
import { drain, isFanotify } from '../../files/events.js';
import { FAN_MARK, groupOf, linesOf, marksOf, type Group, type Mark } from '../../files/marks.js';
import { ghostPlaces } from '../../files/places.js';
import { askAll } from '../../linux/ask-all.js';
import { AT_FDCWD, F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fileKind, type LookContext, type OpenFile } from '../kind.js';

const FD_CLOEXEC = 1;
const CAP_SYS_ADMIN = 21n;
const ON = { inode: 0, mount: FAN_MARK.MOUNT, filesystem: FAN_MARK.FILESYSTEM } as const;

interface FanotifyState {
  readonly flags: number;
  readonly group: Group;
  readonly marks: readonly Mark[];
}

async function lookAtMarks({ hands, views }: LookContext, file: OpenFile): Promise<Mark[]> {
  const user = views.find((v) => v.pid === file.users[0]?.pid);
  // Whether it has something unread is asked of who has it.
  if (file.users.length === 0) throw unsupportedNow(`${file.view.link} that only waits in a UNIX socket`, 'the domain');
  if (user === undefined) throw new DomainError('lost', 'a process is gone');
  const marks = await marksOf(hands, file.view, user.hostPid);
  const places = new Set(ghostPlaces(views).map((p) => p.path));
  for (const m of marks)
    if (m.ghost !== undefined && !places.has(m.path)) throw unsupported('a watch of a deleted file', m.path);
  return marks;
}

/** Groups of fanotify(7) that are told what is done, not asked whether it may be. */
export const fanotify = fileKind<FanotifyState>({
  name: 'fanotify',
  keeps:
    'groups with their flags; marks of files, mounts and file systems with what they ignore, also of deleted files that are open',
  refuses:
    'events that were not read; groups that decide what others may do; those of who is not privileged; marks of files and mounts that are not found',
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
    await lookAtMarks(context, file);
  },
  async checkpoint(context, file) {
    const { view } = file;
    return { flags: view.info.flags & ~O.CLOEXEC, group: groupOf(view), marks: await lookAtMarks(context, file) };
  },
  async restore({ hands, anchor, objectFds }, { flags, group, marks }) {
    const b = hands.batch();
    // Its flags are shown for ever: no others are said, though it shall be closed on exec here too.
    const made = b.call(SYS.fanotify_init, group.flags, group.eventFlags);
    b.call(SYS.fcntl, made, F.SETFD, FD_CLOEXEC);
    const fd = check((await b.run()).value(made), 'making a fanotify group');
    return making(hands, async (note) => {
      note(fd);
      // The kernel tells the newest first.
      await askAll(hands, [...marks].reverse(), 2, (c, m) => {
        const { path, ghost } = m;
        const at = c.str(
          ghost === undefined ? `/proc/${anchor.pid}/root${path}` : `/proc/self/fd/${objectFds.get(ghost) ?? -1}`,
        );
        const follow = ghost === undefined ? FAN_MARK.DONT_FOLLOW : 0;
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
          for (const ref of refs) check(r.value(ref), `marking ${path}`);
        };
      });
      check(await hands.syscall(SYS.fcntl, fd, F.SETFL, flags), 'setting the flags of a fanotify group');
      return fd;
    });
  },
  async activate({ hands }, fd, { flags }) {
    // What the restoration itself has done to marked files.
    await hands.syscall(SYS.fcntl, fd, F.SETFL, flags | O.NONBLOCK);
    await drain(hands, fd, 'fanotify');
    await hands.syscall(SYS.fcntl, fd, F.SETFL, flags);
  },
});
