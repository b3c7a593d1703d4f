import type { Batch, BatchResult, Ref } from '../../guest/hands/batch.js';
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

/** Regions that one look at a range may answer; what is beyond is looked at again. */
const REGIONS = 1024;
const ENTRY = 24;
/** Looks in one batch: each may bring 24 KiB. */
const AT_ONCE = 20;

/**
 * Where a process has pages of its own: present, of no file, and not the zero page (PAGEMAP_SCAN,
 * Documentation/admin-guide/mm/pagemap.rst). Costs the kernel one walk over the page tables of these ranges.
 */
export async function ownPages(hands: Hands, pid: number, ranges: readonly Range[]): Promise<Range[]> {
  const out: Range[] = [];
  for (let left = [...ranges]; left.length > 0;) {
    const now = left.splice(0, AT_ONCE);
    const b = hands.batch();
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/${pid}/pagemap`), O.RDONLY | O.CLOEXEC, 0);
    const looks = now.map((range) => ({ range, read: addScan(b, fd, range) }));
    b.call(SYS.close, fd);
    const r = await b.run();
    check(r.value(fd), `opening the pagemap of process ${pid}`);
    for (const { range, read } of looks) {
      const { found, walked } = read(r, pid);
      out.push(...found);
      if (walked > range.start && walked < range.end) left = [{ start: walked, end: range.end }, ...left];
    }
  }
  return normalize(out);
}

function addScan(
  b: Batch,
  fd: Ref,
  { start, end }: Range,
): (r: BatchResult, pid: number) => { found: Range[]; walked: number } {
  // Regions that touch are one: there are at most half as many as pages.
  const most = Math.min(REGIONS, Math.ceil((end - start) / 8192) + 1);
  const regions = b.out(ENTRY * most);
  // struct pm_scan_arg: size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
  // category_anyof_mask, return_mask; u64 each.
  const arg = b.inout(
    new Uint8Array(
      new BigUint64Array([
        96n,
        0n,
        BigInt(start),
        BigInt(end),
        0n,
        0n,
        BigInt(most),
        0n,
        PAGE_IS_FILE | PAGE_IS_PFNZERO,
        PAGE_IS_PRESENT | PAGE_IS_FILE | PAGE_IS_PFNZERO,
        0n,
        PAGE_IS_PRESENT,
      ]).buffer,
    ),
  );
  b.pointer(arg, 40, regions);
  const n = b.call(SYS.ioctl, fd, PAGEMAP_SCAN, arg);
  return (r, pid) => {
    const count = check(r.value(n), `scanning the pages of process ${pid}`);
    const view = r.view(regions);
    // struct page_region: start, end, categories; u64 each.
    const found = Array.from({ length: Math.min(count, most) }, (_, i) => ({
      start: Number(view.getBigUint64(ENTRY * i, true)),
      end: Number(view.getBigUint64(ENTRY * i + 8, true)),
    }));
    return { found, walked: Number(r.view(arg).getBigUint64(32, true)) };
  };
}
