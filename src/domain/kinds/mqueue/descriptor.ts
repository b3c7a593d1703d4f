import { SYS } from '../../../guest/hands/syscalls.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { QUEUE } from '../../proc/queues.js';
import { fileKind } from '../kind.js';
import {
  lookAtQueue,
  makeQueue,
  openQueue,
  queueKey,
  readMessages,
  refuseStrangeName,
  type SavedQueue,
} from './queue.js';

interface DescriptorState {
  readonly flags: number;
  /** Its messages, if it has no name any more: others are the namespace's. */
  readonly queue: SavedQueue;
}

/** Open descriptions of POSIX message queues. */
export const queueDescriptor = fileKind<DescriptorState>({
  name: 'open message queue',
  keeps: 'flags; queues that have no name any more, with their messages',
  refuses: 'a queue that tells of messages (mq_notify), messages of more than 400 kB, names that are not UTF-8',
  queue: ({ queue }) => queue.key,
  matches: (view) => view.link.startsWith(QUEUE),
  describe: (view, { pid }) => refuseStrangeName(view.link, `descriptor ${view.fd} of process ${pid}`),
  async inspect({ hands }, file) {
    const fd = await openQueue(hands, `/proc/self/fd/${file.held}`);
    await whileOpen(hands, fd, () => lookAtQueue(hands, fd, file.view.link));
  },
  async checkpoint({ hands }, file) {
    const { link, info } = file.view;
    const fd = await openQueue(hands, `/proc/self/fd/${file.held}`);
    return whileOpen(hands, fd, async () => {
      const queue = await lookAtQueue(hands, fd, link);
      const name = link.slice(link.lastIndexOf('/') + 1).replace(/ \(deleted\)$/, '');
      const messages = queue.linked ? [] : await readMessages(hands, fd, queue);
      return { flags: info.flags & ~(O.CLOEXEC | O.CREAT | O.EXCL), queue: { ...queue, name, messages } };
    });
  },
  async restore({ hands, anchor, objectFds }, { flags, queue }) {
    const key = queueKey(queue);
    const made = objectFds.get(key) ?? (await makeQueue(hands, anchor.pid, queue));
    objectFds.set(key, made);
    const b = hands.batch();
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/fd/${made}`), flags | O.CLOEXEC, 0);
    return check((await b.run()).value(fd), 'opening a message queue');
  },
});
