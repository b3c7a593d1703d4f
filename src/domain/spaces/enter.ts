import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import type { RestoreContext } from '../kinds/kind.js';
import { check } from '../linux/os.js';
import type { Namespaces } from '../proc/namespaces.js';
import type { Tracee } from '../trace/tracee.js';
import { HANDS_FD } from '../tree/anchor.js';
import { SORTS } from './sorts.js';
import { spaceKey } from './space.js';

/**
 * Has a process that was just born enter the namespaces that it shall be in, and those whom it begets are born into. `from`,
 * `to`: what they are in the source.
 */
export async function enterSpaces(
  { objectFds }: RestoreContext,
  tracee: Tracee,
  from: Namespaces,
  to: Namespaces,
): Promise<void> {
  const others = SORTS.filter(({ name }) => from[name] !== to[name]);
  if (others.length === 0) return;
  const b = tracee.batch();
  const entered = others.map(({ name, flag }) => {
    const held = objectFds.get(spaceKey(to[name] ?? ''));
    if (held === undefined) throw new DomainError('state', `namespace ${to[name] ?? ''} was not made`);
    const fd = b.call(SYS.pidfd_getfd, HANDS_FD, held, 0);
    const done = b.call(SYS.setns, fd, flag);
    b.call(SYS.close, fd);
    return { name, done };
  });
  const r = await b.run();
  for (const { name, done } of entered) check(r.value(done), `entering a ${name} namespace`);
}
