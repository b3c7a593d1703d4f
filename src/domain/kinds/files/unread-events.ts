import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupportedNow } from '../../errors.js';
import { forgetEvents, listenersOf } from '../../files/events.js';
import { FIONREAD } from '../../files/pipe-contents.js';
import { askAll } from '../../linux/ask-all.js';
import { domainKind, type LookContext } from '../kind.js';

/**
 * Refuses events that were not read. They are looked for before anybody opens a file to read it, which may be watched.
 */
export const unreadEvents = domainKind<null>({
  name: 'unread events',
  keeps: 'nothing: an event of inotify or fanotify cannot be made again',
  refuses: 'unread inotify events, unread fanotify events',
  describe: refuseUnread,
  async checkpoint(context) {
    await refuseUnread(context);
    const { hands, views, undo } = context;
    const all = listenersOf(views);
    // What we open, read and close meanwhile may be watched: nobody shall hear of it.
    if (all.length > 0) undo.addLast('taking out events of our own', () => forgetEvents(hands, all));
    return null;
  },
  restore: () => Promise.resolve(),
});

async function refuseUnread({ hands, views }: LookContext): Promise<void> {
  const all = listenersOf(views);
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
    if (bytes > 0) throw unsupportedNow(`unread ${one?.what} events`, `descriptor ${one?.fd} of process ${one?.pid}`);
  });
}
