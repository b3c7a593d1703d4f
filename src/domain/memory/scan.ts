import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { normalize, type Range } from './ranges.js';

/** _IOWR('f', 16, struct pm_scan_arg) */
const PAGEMAP_SCAN = 0xc0606610;
const PAGE_IS_FILE = 1n << 2n;
const PAGE_IS_PRESENT = 1n << 3n;
const PAGE_IS_PFNZERO = 1n << 5n;

const REGIONS = 4096;
const END = 0x40_0000_0000;

/**
 * Where a process has pages of its own: present, of no file, and not the zero page (PAGEMAP_SCAN,
 * Documentation/admin-guide/mm/pagemap.rst). Costs the kernel one walk over the page tables.
 */
export async function ownPages(hands: Hands, pid: number): Promise<Range[]> {
  const out: Range[] = [];
  for (let start = 0; start < END;) {
    const b = hands.batch();
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/${pid}/pagemap`), O.RDONLY | O.CLOEXEC, 0);
    const regions = b.out(24 * REGIONS);
    const arg = b.inout(
      new Uint8Array(
        new BigUint64Array([
          96n,
          0n,
          BigInt(start),
          BigInt(END),
          0n, // walk_end
          0n, // vec, below
          BigInt(REGIONS),
          0n, // max_pages
          PAGE_IS_FILE | PAGE_IS_PFNZERO,
          PAGE_IS_PRESENT | PAGE_IS_FILE | PAGE_IS_PFNZERO,
          0n,
          PAGE_IS_PRESENT,
        ]).buffer,
      ),
    );
    b.pointer(arg, 40, regions);
    const n = b.call(SYS.ioctl, fd, PAGEMAP_SCAN, arg);
    b.call(SYS.close, fd);
    const r = await b.run();
    check(r.value(fd), `opening the pagemap of process ${pid}`);
    const count = check(r.value(n), `scanning the pages of process ${pid}`);
    const view = r.view(regions);
    for (let i = 0; i < count; i++) {
      out.push({ start: Number(view.getBigUint64(24 * i, true)), end: Number(view.getBigUint64(24 * i + 8, true)) });
    }
    const walked = Number(r.view(arg).getBigUint64(32, true));
    if (walked <= start) break;
    start = walked;
  }
  return normalize(out);
}
