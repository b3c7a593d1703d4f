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
/** Looks in one batch, and bytes that they may bring. */
const AT_ONCE = 300;
const ROOM = 500_000;
/** Bytes of struct pm_scan_arg. */
const ARGUMENTS = 96;

/**
 * Where a process has pages of its own: present, of no file, and not the zero page (PAGEMAP_SCAN,
 * Documentation/admin-guide/mm/pagemap.rst). Costs the kernel one walk over the page tables of these ranges.
 */
export async function ownPages(hands: Hands, pid: number, ranges: readonly Range[]): Promise<Range[]> {
  const out: Range[] = [];
  for (let [next, left] = [0, [...ranges]]; next < left.length;) {
    const now: Range[] = [];
    // Many short ranges fit where few long ones do.
    for (let room = ROOM; next < left.length && now.length < AT_ONCE; next++) {
      room -= ENTRY * mostRegions(left[next]) + ARGUMENTS;
      if (room < 0 && now.length > 0) break;
      now.push(left[next]);
    }
    const again: Range[] = [];
    const b = hands.batch();
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/${pid}/pagemap`), O.RDONLY | O.CLOEXEC, 0);
    const looks = now.map((range) => ({ range, read: addScan(b, fd, range) }));
    b.call(SYS.close, fd);
    const r = await b.run();
    check(r.value(fd), `opening the pagemap of process ${pid}`);
    for (const { range, read } of looks) {
      const { found, walked } = read(r, pid);
      for (const f of found) out.push(f);
      if (walked > range.start && walked < range.end) again.push({ start: walked, end: range.end });
    }
    if (again.length > 0) [next, left] = [0, [...again, ...left.slice(next)]];
  }
  return normalize(out);
}

/** Regions that touch are one: there are at most half as many as pages. */
const mostRegions = ({ start, end }: Range): number => Math.min(REGIONS, Math.ceil((end - start) / 8192) + 1);

function addScan(
  b: Batch,
  fd: Ref,
  { start, end }: Range,
): (r: BatchResult, pid: number) => { found: Range[]; walked: number } {
  const most = mostRegions({ start, end });
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
