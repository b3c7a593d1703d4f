import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { askAll } from '../../linux/ask-all.js';
import { PROT } from '../../linux/flags.js';
import type { Vma } from '../../proc/maps.js';
import { AREA_SIZE, NO_ROOM } from '../../trace/runner.js';
import { domainKind } from '../kind.js';

const RLIMIT_DATA = 2;
const RLIMIT_AS = 9;

/** Whether a process has room for the little that it is asked by: what limits it as it grows limits that too. */
export const room = domainKind<null>({
  name: 'room',
  keeps: 'nothing: a process needs some memory beside its own while it is moved',
  refuses: NO_ROOM,
  async describe({ hands, views }) {
    const limits = await askAll(hands, views, 2, (b, { hostPid }) => {
      const all = [RLIMIT_AS, RLIMIT_DATA].map((limit) => {
        const out = b.out(16);
        return { out, n: b.call(SYS.prlimit64, hostPid, limit, 0, out) };
      });
      return (r) => all.map(({ out, n }) => (r.value(n) < 0 ? Infinity : Number(r.view(out).getBigUint64(0, true))));
    });
    views.forEach(({ pid, vmas }, i) => {
      const [all = Infinity, data = Infinity] = limits[i] ?? [];
      if (sizeOf(vmas) + AREA_SIZE > all || sizeOf(vmas.filter(isData)) + AREA_SIZE > data)
        throw unsupported(NO_ROOM, `process ${pid}`);
    });
  },
  checkpoint: () => Promise.resolve(null),
  restore: () => Promise.resolve(),
});

const sizeOf = (vmas: readonly Vma[]): number => vmas.reduce((n, v) => n + v.end - v.start, 0);

/** What RLIMIT_DATA counts (setrlimit(2)): private memory that may be written, but for stacks. */
const isData = (v: Vma): boolean => !v.shared && (v.prot & PROT.WRITE) !== 0 && v.path !== '[stack]';
