import type { Hands } from '../../guest/hands/hands.js';
import { unsupportedNow } from '../errors.js';
import type { ProcessView } from '../proc/survey.js';
import { statusesOf, VFORK } from './stoppable.js';

/** Looks at a thread that waits where no stop reaches it, and milliseconds between them. */
const LOOKS = 5;
const BETWEEN = 20;

/**
 * Refuses threads of a running domain that stay in one wait where no stop reaches them, such as a parent in vfork(2). Most
 * such waits are for a lock that another thread has for a moment, and are over before anybody looks again. Throws
 * `unsupported`, passing.
 */
export async function refuseStuck(hands: Hands, views: readonly ProcessView[]): Promise<void> {
  let waiting = views.flatMap(({ hostPid, pid, threads }) =>
    threads
      .filter((t) => t.status.state === 'D')
      .map(({ hostTid, tid, status }) => ({ hostPid, pid, tid: hostTid, name: tid, switches: status.switches })),
  );
  for (let turn = 0; waiting.length > 0 && turn < LOOKS; turn++) {
    await new Promise((resolve) => setTimeout(resolve, BETWEEN));
    const now = await statusesOf(hands, waiting);
    waiting = waiting.filter((t, i) => now[i]?.state === 'D' && now[i].switches === t.switches);
  }
  const [first] = waiting;
  if (first !== undefined) throw unsupportedNow(VFORK, `thread ${first.name} of process ${first.pid}`);
}
