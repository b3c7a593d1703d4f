import { together } from '../../together.js';
import { domainKind } from '../kind.js';
import { checkpointQueues, restoreQueues, type Queue } from './queues.js';
import { checkpointSegments, finishSegments, refuseSegments, restoreSegments, type Segment } from './segments.js';
import { checkpointSemaphores, restoreSemaphores, type SemaphoreSet } from './semaphores.js';
import { changed, makeRoom, settle, SYSCTLS } from './sysctls.js';
import { ipcOf } from './tables.js';

interface SysvState {
  readonly segments: readonly Segment[];
  readonly semaphores: readonly SemaphoreSet[];
  readonly queues: readonly Queue[];
  /** Settings of the namespace that a new one would not have: path, value. */
  readonly settings: readonly (readonly [string, string])[];
}

const FORCED = SYSCTLS.findIndex((s) => s.path.endsWith('/shm_rmid_forced'));

/** What an IPC namespace has that no path leads to, with its ids, keys, owners and permissions. */
export const sysv = domainKind<SysvState>({
  name: 'System V IPC',
  keeps:
    'shared memory segments, attached or not, marked for destruction or locked; semaphores with their values; message queues with what waits in them; ids, keys, owners, permissions; the settings of the namespace',
  refuses: 'an unattached segment under kernel.shm_rmid_forced',
  async describe(context) {
    const tables = await ipcOf(context);
    refuseSegments(tables, tables.sysctls[FORCED] === '1', context.views);
  },
  async checkpoint(context) {
    const tables = await ipcOf(context);
    refuseSegments(tables, tables.sysctls[FORCED] === '1', context.views);
    const [segments, semaphores, queues] = await together([
      checkpointSegments(context),
      checkpointSemaphores(context),
      checkpointQueues(context),
    ]);
    return { segments, semaphores, queues, settings: changed(tables.sysctls) };
  },
  async restore(context, { segments, semaphores, queues, settings }) {
    await makeRoom(context.hands, context.anchor.pid, settings);
    await together([
      restoreSegments(context, segments),
      restoreSemaphores(context, semaphores),
      restoreQueues(context, queues),
    ]);
  },
  async finish(context, { segments, settings }) {
    await finishSegments(context, segments);
    await settle(context.hands, context.anchor.pid, settings);
  },
});
