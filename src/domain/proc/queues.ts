import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { askAll } from '../linux/ask-all.js';
import type { ProcessView } from './survey.js';

/** f_type of the file system of POSIX message queues. */
const MQUEUE_MAGIC = 0x19800202;
/** What stands before the name of an open message queue, which /proc shows like a file of the root folder. */
export const QUEUE = 'mqueue:';

const maybeQueue = (link: string): boolean => /^\/[^/]+$|^\/dev\/mqueue\//.test(link) && !link.startsWith('/memfd:');

/** Tells open message queues from files. Where there are no descriptors that could be meant, nothing is asked. */
export async function tellQueues(hands: Hands, views: readonly ProcessView[]): Promise<ProcessView[]> {
  const asked = views.flatMap(({ hostPid, descriptors }) =>
    descriptors.filter((d) => maybeQueue(d.link)).map((descriptor) => ({ hostPid, descriptor })),
  );
  if (asked.length === 0) return [...views];
  const answers = await askAll(hands, asked, 1, (b, { hostPid, descriptor }) => {
    const fs = b.out(120);
    const n = b.call(SYS.statfs, b.str(`/proc/${hostPid}/fd/${descriptor.fd}`), fs);
    return (r) => r.value(n) === 0 && Number(r.view(fs).getBigUint64(0, true)) === MQUEUE_MAGIC;
  });
  const queues = new Set(asked.filter((_, i) => answers[i]).map((a) => a.descriptor));
  if (queues.size === 0) return [...views];
  return views.map((view) => ({
    ...view,
    descriptors: view.descriptors.map((d) => (queues.has(d) ? { ...d, link: `${QUEUE}${d.link}` } : d)),
  }));
}
