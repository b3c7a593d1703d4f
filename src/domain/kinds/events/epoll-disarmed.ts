import { SYS } from '../../../guest/hands/syscalls.js';
import { check } from '../../linux/os.js';
import type { EpollEntry } from '../../proc/fdinfo.js';
import type { Tracee } from '../../trace/tracee.js';

export const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const EPOLLONESHOT = 0x40000000;
/** EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT and EPOLLET: how is told, not what. All that is left of an entry that has fired. */
const PRIVATE_BITS = 0xf0000000;
/** All that can be told. */
const ANY = 0x3fff;
const MOST_AT_ONCE = 100;

/** `struct epoll_event` on RISC-V: events u32, padding, data u64. */
export function eventOf(e: Pick<EpollEntry, 'events' | 'data'>): Uint8Array {
  const event = new Uint8Array(16);
  const view = new DataView(event.buffer);
  view.setUint32(0, e.events, true);
  view.setBigUint64(8, e.data, true);
  return event;
}

/** Whether it is a one-shot entry that has fired, and tells nothing until it is armed again. */
export function isDisarmed({ events }: EpollEntry): boolean {
  return (events & EPOLLONESHOT) !== 0 && (events & ~PRIVATE_BITS) === 0;
}

/**
 * Adds one-shot entries that have fired to a set that has nothing yet. The kernel arms whatever is added, for EPOLLHUP and
 * EPOLLERR at least: so each is armed for anything that there is to tell at the moment, and fires. What there is nothing to
 * tell of stays armed for these two.
 */
export async function addDisarmed(leader: Tracee, set: number, entries: readonly EpollEntry[]): Promise<void> {
  const counts = new Map<bigint, number>();
  for (const { data } of entries) counts.set(data, (counts.get(data) ?? 0) + 1);
  for (let start = 0; start < entries.length; start += MOST_AT_ONCE) {
    const b = leader.batch();
    const added = entries.slice(start, start + MOST_AT_ONCE).map((entry) => {
      // Only its data tells which one has fired.
      const fires = counts.get(entry.data) === 1;
      const events = fires ? (entry.events | ANY) >>> 0 : entry.events;
      const ref = b.call(SYS.epoll_ctl, set, EPOLL_CTL_ADD, entry.tfd, b.bytes(eventOf({ ...entry, events })));
      if (!fires) return { entry, ref };
      const told = b.out(16);
      return { entry, ref, told, n: b.call(SYS.epoll_pwait, set, told, 1, 0, 0, 8) };
    });
    const r = await b.run();
    const c = leader.batch();
    const again = added.flatMap(({ entry, ref, told, n }) => {
      check(r.value(ref), 'filling an epoll set');
      if (told === undefined) return [];
      if (r.value(n) === 1 && r.view(told).getBigUint64(8, true) === entry.data) return [];
      return c.call(SYS.epoll_ctl, set, EPOLL_CTL_MOD, entry.tfd, c.bytes(eventOf(entry)));
    });
    if (again.length === 0) continue;
    const cr = await c.run();
    for (const ref of again) check(cr.value(ref), 'filling an epoll set');
  }
}
