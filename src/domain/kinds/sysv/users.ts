/** What processes have to do with the semaphores of their IPC namespace. */
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { KCMP } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { once } from '../../once.js';
import { processKind, type CheckpointContext } from '../kind.js';
import { giveAdjustments, readAdjustments, shifting, type Adjustment, type Semaphore } from './adjustments.js';
import { operations } from './operations.js';
import { lastUsesOf, semaphoresOf } from './semaphores.js';
import { ipcOf } from './tables.js';

/**
 * Processes that may have something to undo, by their ids in the hands' PID namespace. The first process of the domain
 * has never operated on a semaphore: who has as little has the same list as it, none.
 */
async function undoers({ hands, anchor, views }: CheckpointContext): Promise<Set<number>> {
  const all = views.flatMap((v) => v.threads.map((t) => ({ pid: v.hostPid, tid: t.hostTid })));
  const answers = await askAll(hands, all, 2, (b, { pid, tid }) => {
    const asAnchor = b.call(SYS.kcmp, tid, anchor.pid, KCMP.SYSVSEM, 0, 0);
    const asLeader = b.call(SYS.kcmp, tid, pid, KCMP.SYSVSEM, 0, 0);
    return (r) => ({
      has: check(r.value(asAnchor), 'comparing lists of semaphores') !== 0,
      own: check(r.value(asLeader), 'comparing lists of semaphores') !== 0,
    });
  });
  all.forEach(({ tid }, i) => {
    if (answers[i].own && answers[i].has) throw unsupported('a list of semaphores of its own', `thread ${tid}`);
  });
  return new Set(all.filter((_, i) => answers[i].has).map((t) => t.pid));
}

const undoersOf = once(undoers);

/** SEM_UNDO of semop(2): what is given back when the process ends. */
export const semaphoreAdjustments = processKind<readonly Adjustment[]>({
  name: 'semaphore adjustments',
  keeps: 'what is undone when a process ends (SEM_UNDO)',
  refuses: 'a thread with a list of its own',
  stage: 'early',
  async checkpoint({ context, view, leader }) {
    if ((await ipcOf(context)).semaphores.length === 0) return [];
    if (!(await undoersOf(context)).has(view.hostPid)) return [];
    return readAdjustments(leader, await semaphoresOf(context));
  },
  restore: ({ leader }, adjustments) => giveAdjustments(leader, adjustments),
});

/** Who operated last on a semaphore (GETPID of semctl(2)). */
export const semaphoreUsers = processKind<readonly Semaphore[]>({
  name: 'semaphore users',
  keeps: 'who of the living operated last on a semaphore',
  stage: 'late',
  async checkpoint({ context, view }) {
    if ((await ipcOf(context)).semaphores.length === 0) return [];
    const uses = (await lastUsesOf(context)).filter((u) => u.hostPid === view.hostPid);
    // It could not operate on them from where it is now.
    if (uses.length > 0 && view.namespaces['ipc'] !== context.anchor.namespaces['ipc'])
      throw unsupported('a semaphore of another IPC namespace', `process ${view.pid}`);
    return uses.map(({ id, index, value }) => ({ id, index, value }));
  },
  async restore({ leader }, semaphores) {
    for (let first = 0; first < semaphores.length; first += AT_ONCE) {
      const b = leader.batch();
      const calls = semaphores.slice(first, first + AT_ONCE).map((s) =>
        operations(
          b,
          s.id,
          shifting(s, 1).map((o) => ({ ...o, flags: 0 })),
        ),
      );
      const r = await b.run();
      for (const call of calls) check(r.value(call), 'operating on semaphores');
    }
  },
});
const AT_ONCE = 150;
