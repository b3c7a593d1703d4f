import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { CLONE } from '../../linux/flags.js';
import { inside, type Where } from '../../linux/inside.js';
import { whileOpen } from '../../linux/making.js';
import { check, readDir } from '../../linux/os.js';
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC } from '../../mounts/flags.js';
import { together } from '../../together.js';
import { domainKind } from '../kind.js';
import { lookAtQueue, makeQueue, openQueue, queueKey, refuseStrangeName, saveQueue, type SavedQueue } from './queue.js';

/** Mounts of queues that are open from the look before the freeze to the end of the move, by what was foreseen with them. */
const mounted = new WeakMap<object, number>();

/** Does something with each queue that has a name. `folder`: a mount of them; `work`: gets a path to it, and its name. */
async function forEachQueue<T>(
  hands: Hands,
  folder: number,
  work: (path: string, name: string) => Promise<T>,
): Promise<T[]> {
  const path = `/proc/self/fd/${folder}`;
  const names = await readDir(hands, path);
  if (names === undefined) throw new DomainError('lost', 'the message queues of the domain cannot be listed');
  for (const name of names) refuseStrangeName(name, 'the domain');
  return together(names.map((name) => work(`${path}/${name}`, name)));
}

/** A mount of the queues of an IPC namespace that is in no tree of mounts, by a descriptor of the hands. */
export function mountQueues(hands: Hands, where: Where): Promise<number> {
  return inside(hands, where, CLONE.NEWIPC, (b) => {
    const context = b.call(SYS.fsopen, b.str('mqueue'), FSOPEN_CLOEXEC);
    const made = b.call(SYS.fsconfig, context, FSCONFIG.CMD_CREATE, 0, 0, 0);
    const mount = b.call(SYS.fsmount, context, FSMOUNT_CLOEXEC, 0);
    b.call(SYS.close, context);
    return (r) => {
      check(r.value(made), 'looking for message queues');
      return check(r.value(mount), 'looking at message queues');
    };
  });
}

/** POSIX message queues that have a name (mq_overview(7)), whether anybody has them open or not. */
export const queues = domainKind<readonly SavedQueue[]>({
  name: 'POSIX message queues',
  keeps: 'names, limits, owners, permissions, messages with their priorities',
  refuses: 'a queue that tells of messages (mq_notify), messages of more than 400 kB, names that are not UTF-8',
  async describe({ hands, anchor }) {
    const folder = await mountQueues(hands, anchor.pid);
    await whileOpen(hands, folder, () =>
      forEachQueue(hands, folder, async (path, name) => {
        const fd = await openQueue(hands, path);
        await whileOpen(hands, fd, () => lookAtQueue(hands, fd, name));
      }),
    );
  },
  async foresee({ hands, anchor, hold }) {
    const folder = await mountQueues(hands, anchor.pid);
    hold(folder);
    const foreseen: readonly SavedQueue[] = [];
    mounted.set(foreseen, folder);
    return foreseen;
  },
  checkpoint: ({ hands, foreseen }) =>
    forEachQueue(hands, mounted.get(foreseen.get('POSIX message queues') as object) ?? -1, (path, name) =>
      saveQueue(hands, path, name),
    ),
  async restore({ hands, anchor, objectFds, counters }, saved) {
    await together(
      saved.map(async (queue) => {
        objectFds.set(queueKey(queue), await makeQueue(hands, anchor.pid, queue));
        counters.bytesCopied += queue.messages.reduce((n, m) => n + m.bytes.length, 0);
      }),
    );
  },
});
