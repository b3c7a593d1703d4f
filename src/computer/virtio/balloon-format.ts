/** Numbers of the memory balloon (virtio 1.2, section 5.5), and what its queues carry. */

export const BALLOON_ID = 5;
/** Features (5.5.3). F_MUST_TELL_HOST, F_DEFLATE_ON_OOM and F_FREE_PAGE_HINT are not offered: see balloon.ts. */
export const F_STATS_VQ = 1 << 1;
export const F_PAGE_POISON = 1 << 4;
export const F_PAGE_REPORTING = 1 << 5;

/** Queues (5.5.2). */
export const INFLATE = 0;
export const DEFLATE = 1;
export const STATS = 2;
export const QUEUES = 5;
export const QUEUE_SIZE = 128;

/** The configuration (5.5.4): words of 32 bits, of which the driver writes `actual` and `poison_val`. */
export const NUM_PAGES = 0;
export const ACTUAL = 4;
export const POISON_VAL = 12;
export const CONFIG_SIZE = 16;
export const DRIVER_WRITES = (1 << (ACTUAL >>> 2)) | (1 << (POISON_VAL >>> 2));

/** A page of the balloon, whatever the guest's pages are (5.5.6). */
export const BALLOON_PAGE = 4096;
export const PFN_SIZE = 4;
/** Page numbers in one request; Linux has 256. More is taken for garbage. */
export const MOST_PFNS = 16_384;

/** Pages that follow each other, by number: guest-physical address / 4096. */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** The page numbers of a request, those that follow each other together. */
export function runsOfPfns(pfns: DataView): PageRun[] {
  const runs: { first: number; count: number }[] = [];
  let last: { first: number; count: number } | undefined;
  for (let at = 0; at + PFN_SIZE <= pfns.byteLength; at += PFN_SIZE) {
    const pfn = pfns.getUint32(at, true);
    if (last !== undefined && pfn === last.first + last.count) last.count++;
    // Linux takes pages out of a large free one from its end.
    else if (last !== undefined && pfn === last.first - 1) {
      last.first--;
      last.count++;
    } else runs.push((last = { first: pfn, count: 1 }));
  }
  return runs;
}

/** What a guest says of its own memory (5.5.6.3): bytes, and counts since it was booted. All of it is the guest's word. */
export interface GuestMemoryStatistics {
  readonly swappedIn?: number;
  readonly swappedOut?: number;
  readonly majorFaults?: number;
  readonly minorFaults?: number;
  /** Unused bytes. */
  readonly free?: number;
  /** Bytes that it manages. */
  readonly total?: number;
  /** Bytes that programs could have without swapping. */
  readonly available?: number;
  /** Bytes of files that it keeps, and could drop. */
  readonly caches?: number;
  readonly hugePages?: number;
  readonly hugePageFailures?: number;
}

const NAMES = [
  'swappedIn',
  'swappedOut',
  'majorFaults',
  'minorFaults',
  'free',
  'total',
  'available',
  'caches',
  'hugePages',
  'hugePageFailures',
] as const satisfies readonly (keyof GuestMemoryStatistics)[];

/** A tag of 16 bits, a value of 64. */
const STAT_SIZE = 10;
/** There are some more tags than those above; a later kernel may have others still. */
export const MOST_STATS = 64 * STAT_SIZE;

/** The statistics in a driver's buffer; tags that are not known, and what is cut off, are left out. */
export function readStatistics(buffer: DataView): GuestMemoryStatistics {
  const statistics: { -readonly [name in keyof GuestMemoryStatistics]: number } = {};
  for (let at = 0; at + STAT_SIZE <= buffer.byteLength; at += STAT_SIZE) {
    const name = NAMES[buffer.getUint16(at, true)];
    const value = buffer.getUint32(at + 2, true) + buffer.getUint32(at + 6, true) * 2 ** 32;
    if (name !== undefined) statistics[name] = value;
  }
  return statistics;
}
