import { SYS } from '../../../guest/hands/syscalls.js';
import { MADV, MAP, PROT } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { AREA_SIZE } from '../../trace/runner.js';
import { processKind } from '../kind.js';

const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;
const PAGE = 4096;

/**
 * Whether memory that a process maps will be locked: MCL_FUTURE of mlockall(2). The kernel does not tell. A page that is
 * mapped for it can be thrown away (MADV_DONTNEED) if it is not locked, and is there at once if it is not only locked when
 * it is touched.
 */
export const locksToCome = processKind<number>({
  name: 'locks to come',
  keeps: 'whether memory to come is locked (MCL_FUTURE)',
  stage: 'late',
  async checkpoint({ leader }) {
    const b = leader.batch();
    // Behind the runner, where room is left.
    const at = leader.area + AREA_SIZE;
    const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE;
    const mapped = b.call(SYS.mmap, at, PAGE, PROT.READ | PROT.WRITE, flags, -1, 0);
    const thrown = b.call(SYS.madvise, at, PAGE, MADV.DONTNEED);
    const there = b.out(1);
    const looked = b.call(SYS.mincore, at, PAGE, there);
    b.call(SYS.munmap, at, PAGE);
    const r = await b.run();
    // There is no room for more, or none that may be locked: then it does not matter.
    if (r.value(mapped) !== at || r.value(thrown) === 0) return 0;
    check(r.value(looked), 'looking at locked memory');
    return MCL_FUTURE | (r.bytes(there)[0] === 1 ? 0 : MCL_ONFAULT);
  },
  async restore({ leader }, flags) {
    if (flags !== 0) check(await leader.syscall(SYS.mlockall, flags), 'locking memory to come');
  },
});
