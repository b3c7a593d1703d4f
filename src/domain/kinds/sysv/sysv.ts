import { together } from '../../together.js';
import { domainKind } from '../kind.js';
import { checkpointQueues, restoreQueues, type Queue } from './queues.js';
import { checkpointSegments, finishSegments, refuseSegments, restoreSegments, type Segment } from './segments.js';
import { checkpointSemaphores, restoreSemaphores, type SemaphoreSet } from './semaphores.js';
import { changedSettings, makeRoom, settle } from './sysctls.js';
import { ipcOf, refuseMany } from './tables.js';

interface SysvState {
  readonly segments: readonly Segment[];
  readonly semaphores: readonly SemaphoreSet[];
  readonly queues: readonly Queue[];
  /** Settings of the namespace that a new one would not have, as of just before the freeze: path, value. */
  readonly settings: readonly (readonly [string, string])[];
}

/** Whether segments go with the last process that has them attached. */
const isForced = (settings: SysvState['settings']): boolean =>
  settings.some(([path, value]) => path.endsWith('/shm_rmid_forced') && value === '1');

/** What an IPC namespace has that no path leads to, with its ids, keys, owners and permissions. */
export const sysv = domainKind<SysvState>({
  name: 'System V IPC',
  keeps:
    'shared memory segments, attached or not, marked for destruction or locked; semaphores with their values; message queues with what waits in them; ids, keys, owners, permissions; the settings of the namespace',
  refuses: 'an unattached segment under kernel.shm_rmid_forced; more than 50,000 messages or 200,000 semaphores',
  async describe(context) {
    const { hands, anchor, views } = context;
    const [tables, settings] = await together([ipcOf(context), changedSettings(hands, anchor.pid)]);
    refuseMany(tables);
    refuseSegments(tables, isForced(settings), views);
  },
  foresee: async ({ hands, anchor }) => ({
    segments: [],
    semaphores: [],
    queues: [],
    settings: await changedSettings(hands, anchor.pid),
  }),
  async checkpoint(context) {
    const { settings } = context.foreseen.get('System V IPC') as SysvState;
    const tables = await ipcOf(context);
    refuseMany(tables);
    refuseSegments(tables, isForced(settings), context.views);
    const [segments, semaphores, queues] = await together([
      checkpointSegments(context),
      checkpointSemaphores(context),
      checkpointQueues(context),
    ]);
    return { segments, semaphores, queues, settings };
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
