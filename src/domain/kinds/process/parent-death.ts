import { SYS } from '../../../guest/hands/syscalls.js';
import { PR } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import { processKind } from '../kind.js';

interface Wish {
  readonly tid: number;
  readonly signal: number;
}

/**
 * The signal that a thread wants when its parent ends. The kernel forgets it whenever ids or capabilities change: it is
 * said again when they have changed for the last time.
 */
export const parentDeath = processKind<readonly Wish[]>({
  name: 'parent-death signals',
  keeps: 'the signal that each thread wants when its parent ends',
  stage: 'end',
  async checkpoint({ context, frozen }) {
    const wishes = await together(
      frozen.threads.map(async ({ tracee }) => {
        const b = tracee.batch();
        const out = b.out(8);
        const n = b.call(SYS.prctl, PR.GET_PDEATHSIG, out);
        const r = await b.run();
        check(r.value(n), `asking thread ${tracee.tid}`);
        return { tid: context.threadIds.get(tracee.tid) ?? -1, signal: r.view(out).getInt32(0, true) };
      }),
    );
    return wishes.filter((w) => w.signal !== 0);
  },
  async restore({ threads }, wishes) {
    await together(
      wishes.map(async ({ tid, signal }) => {
        const set = await threads.get(tid)?.syscall(SYS.prctl, PR.SET_PDEATHSIG, signal);
        if (set !== undefined) check(set, `parent-death signal of thread ${tid}`);
      }),
    );
  },
});
