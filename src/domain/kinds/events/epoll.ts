import type { Batch } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { EBADF, F, O } from '../../linux/flags.js';
import { making, whileOpen } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import type { EpollEntry } from '../../proc/fdinfo.js';
import { addDisarmed, EPOLL_CTL_ADD, eventOf, isDisarmed } from './epoll-disarmed.js';
import { findWatched, type Watched } from './epoll-watched.js';
import { fileKind } from '../kind.js';

const EPOLL_CTL_DEL = 2;

/**
 * epoll(7): what is watched, for what, with which data. Entries are added anew in the name of the process, by the number
 * that it has for what it watches. An entry stays when that number is closed, and becomes something else's, as long as
 * what it watches is open by any other: then the hands add it.
 */
export const epoll = fileKind<readonly Watched[]>({
  name: 'epoll',
  keeps: 'entries with their data, also those whose descriptor is closed or is something else by now',
  refuses: 'an entry for what no process has open',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[eventpoll]',
  async inspect(context, file) {
    await findWatched(context, file);
  },
  checkpoint: (context, file) => findWatched(context, file),
  after: (watched) => watched.flatMap((w) => w.file ?? []),
  async restore({ hands, fileFds }, watched) {
    const set = check(await hands.syscall(SYS.epoll_create1, O.CLOEXEC), 'making an epoll set');
    return making(hands, async (note) => {
      note(set);
      for (const w of watched) {
        if (w.file === undefined) continue;
        const target = fileFds.get(w.file);
        if (target === undefined) throw new DomainError('state', `${w.file} was not made`);
        await addAs(hands, set, target, w);
      }
      return set;
    });
  },
  async connect({ leader }, fd, watched) {
    const own = watched.filter((w) => w.file === undefined);
    // In a set that tells something already, it would be that which is told instead.
    const first = own.length === watched.length ? own.filter(isDisarmed) : [];
    await addDisarmed(leader, fd, first);
    const entries = first.length === 0 ? own : own.filter((w) => !isDisarmed(w));
    for (let start = 0; start < entries.length; start += 200) {
      const b = leader.batch();
      const refs = entries
        .slice(start, start + 200)
        .map((e) => b.call(SYS.epoll_ctl, fd, EPOLL_CTL_ADD, e.tfd, b.bytes(eventOf(e))));
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), 'filling an epoll set');
    }
  },
});

const MOST_TRIES = 20;

/** Adds an entry of the number `tfd`, which stands for `target` only meanwhile. All are descriptors of the hands. */
async function addAs(hands: Hands, set: number, target: number, entry: EpollEntry): Promise<void> {
  const { tfd } = entry;
  // Out of the way of that number.
  const b = hands.batch();
  const [ownSet, ownTarget] = [set, target].map((fd) => b.call(SYS.fcntl, fd, F.DUPFD_CLOEXEC, tfd + 1));
  const r = await b.run();
  const copies = [check(r.value(ownSet), 'copying'), check(r.value(ownTarget), 'copying')] as const;
  const add = (c: Batch, fd: Parameters<Batch['call']>[1]): ReturnType<Batch['call']> =>
    c.call(SYS.epoll_ctl, copies[0], EPOLL_CTL_ADD, fd, c.bytes(eventOf(entry)));
  await whileOpen(hands, copies[0], () =>
    whileOpen(hands, copies[1], async () => {
      for (let turn = 0; turn < MOST_TRIES; turn++) {
        // The hands have something by that number: it gives way within one batch.
        const c = hands.batch();
        const kept = c.must(SYS.fcntl, tfd, F.DUPFD_CLOEXEC, tfd + 1);
        c.call(SYS.dup3, copies[1], tfd, O.CLOEXEC);
        const added = add(c, tfd);
        c.call(SYS.dup3, kept, tfd, O.CLOEXEC);
        c.call(SYS.close, kept);
        const cr = await c.run();
        if (cr.value(kept) >= 0) return void check(cr.value(added), 'filling an epoll set');
        if (cr.value(kept) !== -EBADF) check(cr.value(kept), 'filling an epoll set');
        // They have nothing by that number, unless something was opened meanwhile.
        const d = hands.batch();
        const got = d.must(SYS.fcntl, copies[1], F.DUPFD_CLOEXEC, tfd);
        const addedTo = add(d, got);
        d.call(SYS.close, got);
        const dr = await d.run();
        check(dr.value(addedTo), 'filling an epoll set');
        if (dr.value(got) === tfd) return;
        // Whoever has what is watched open still has the entry: it is taken out by the number that it was added with.
        const e = hands.batch();
        e.call(SYS.dup3, copies[1], dr.value(got), O.CLOEXEC);
        e.call(SYS.epoll_ctl, copies[0], EPOLL_CTL_DEL, dr.value(got), 0);
        e.call(SYS.close, dr.value(got));
        await e.run();
      }
      throw new DomainError('guest', 'an epoll set cannot be filled');
    }),
  );
}
