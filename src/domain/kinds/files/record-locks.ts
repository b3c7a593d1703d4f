import { addLock, checkLock } from '../../files/locks.js';
import { locksOf, type Lock } from '../../proc/locks.js';
import { processKind } from '../kind.js';

interface Held {
  readonly fd: number;
  readonly name: string;
  readonly lock: Lock;
}

/**
 * Locks of a process: record locks (POSIX) and leases. They are taken last: a process that closes any descriptor of a
 * file loses its record locks on it, and the restoration closes some.
 */
export const recordLocks = processKind<readonly Held[]>({
  name: 'record locks and leases',
  keeps: 'which parts of files are locked, and how; leases',
  refuses: 'a lease that is being broken, a write lease by a descriptor that cannot read and write',
  stage: 'last',
  checkpoint({ view }) {
    const held: Held[] = [];
    for (const d of view.descriptors) {
      for (const lock of locksOf(d.info, `descriptor ${d.fd} (${d.link})`)) {
        if (lock.kind === 'posix' || lock.kind === 'lease') held.push({ fd: d.fd, name: d.link, lock });
      }
    }
    return Promise.resolve(held);
  },
  async restore({ leader }, held) {
    if (held.length === 0) return;
    const b = leader.batch();
    const refs = held.map(({ fd, lock }) => addLock(b, fd, lock));
    const r = await b.run();
    refs.forEach((ref, i) => checkLock(r.value(ref), held[i]?.name ?? ''));
  },
});
