/**
 * Layout of a hart's translation caches inside its block.
 *
 *   h + 0x01000  data TLB, user                        1024 entries × 32 bytes
 *   h + 0x09000  data TLB, supervisor                  (user pages refused)
 *   h + 0x11000  data TLB, supervisor with sstatus.SUM (user pages allowed)
 *   h + 0x19000  fetch TLB, user                       256 entries × 16 bytes
 *   h + 0x1a000  fetch TLB, supervisor
 *   h + 0x1b000  instructions that straddle two pages   128 entries × 32 bytes
 *   h + 0x20000  jump cache                            4096 entries × 16 bytes
 *   h + 0x30000  pages that the jump cache was made from in this epoch, by virtual page
 *                number, eight bits for those that share a byte (core/code-pages.ts)   4096 × 1 byte
 *   h + 0x31000  region descriptors                    16384 × 32 bytes
 *   h + 0xb1000  directory of predecoded pages         2048 entries × 16 bytes
 *   h + 0xc1000  predecoded page of each frame         2^20 entries × 2 bytes: 1 + its index, or 0: none
 *   h + 0x2c1000 second data TLB                       8192 entries × 16 bytes
 *   h + 0x2e1000 predecoded pages                      2048 × 0x6080 bytes
 *
 * A data entry is direct-mapped by the virtual page number:
 *
 *   +0   read tag  (i64): virtual page address, -1 if reads must take the slow path
 *   +8   write tag (i64)
 *   +16  addend    (i32): host offset minus the low 32 bits of the virtual address
 *   +20  host page (i32)
 *
 * An entry of the second data TLB, which a miss in the first looks at before it walks the page
 * tables, direct-mapped by the virtual page number:
 *
 *   +0  virtual page address | generation (bits 11:2) | mode (bits 1:0)   (i64)
 *   +8  host page | SECOND_* permissions (i32)
 *
 * A flush begins a new generation, and each address space has its own (core/spaces.ts).
 *
 * A fetch entry: +0 tag (i64), +8 predecoded page (i32, absolute), +12 host page (i32).
 *
 * An entry for an instruction that straddles two pages, by a hash of its bits: +0 its slot,
 * +16 the sentinel, as if it were the last of a page, +24 its bits (i32).
 *
 * A jump cache entry, direct-mapped by pc / 2:
 *
 *   +0  pc with the privilege in bit 0 (i64)   +8 epoch (i32)   +12 region, or -1: none (i32)
 *
 * A predecoded page: 2048 slots of 8 bytes and the sentinel that ends the page; at 0x4080
 * a 16-bit count of arrivals per halfword (see COUNT_*); at 0x5080 16 bits per halfword,
 * 1 + the region that starts there, or 0.
 *
 * A region descriptor names the pages its code depends on besides the one it starts in,
 * at most two: +0 distance in bytes from the first page, +4 host page, +8 frame word; +12, +16,
 * +20 the same. Host page 0: none. +24 whether the run loop has looked it up since this was
 * last cleared, +28 how often it was left before accesses that lie in two pages.
 *
 * A directory entry: +0 frame number (0: none), +4 the frame word the predecoded page is valid
 * for, +8 whether it has been used since the clock's hand came by.
 */
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_SIZE = 32;
export const TLB_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;
export const TLB_START = 0x1000;

/** Byte offset in the table of the entry of `va`: (va >> SHIFT) & MASK. */
export const TLB_INDEX_SHIFT = 12 - 5;
export const TLB_INDEX_MASK = (TLB_ENTRIES - 1) << 5;

export const TLB_READ_TAG = 0;
export const TLB_WRITE_TAG = 8;
export const TLB_ADDEND = 16;
export const TLB_HOST_PAGE = 20;

export const MODE_USER = 0;
export const MODE_SUPERVISOR = 1;
export const MODE_SUPERVISOR_SUM = 2;
export const MODES = 3;

export const FETCH_TLB = 0x19000;
export const FETCH_TLB_SIZE = 0x1000;
export const FETCH_INDEX_SHIFT = 12 - 4;
export const FETCH_INDEX_MASK = 0xff << 4;
export const FETCH_TAG = 0;
export const FETCH_SLOTS = 8;
export const FETCH_HOST_PAGE = 12;

export const PREDECODE_DIRECTORY = 0xb1000;
/** A power of two; a computer with many harts gives each fewer. */
export const PREDECODE_PAGES = 2048;
export const DIRECTORY_ENTRY_SIZE = 16;
export const DIRECTORY_FRAME = 0;
export const DIRECTORY_WORD = 4;
export const DIRECTORY_USED = 8;

export const PREDECODED_OF_FRAME = 0xc1000;
/** All frames that 32-bit offsets can reach. */
export const PREDECODED_OF_FRAME_SIZE = 2 << 20;

export const STRADDLE_SLOTS = 0x1b000;
export const STRADDLE_ENTRIES = 128;
export const STRADDLE_ENTRY_SIZE = 32;
export const STRADDLE_BITS = 24;

export const JUMP_CACHE = 0x20000;
export const JUMP_CACHE_SIZE = 0x10000;
export const JUMP_INDEX_MASK = 0xfff << 4;
export const JUMP_TAG = 0;
export const JUMP_EPOCH = 8;
export const JUMP_REGION = 12;

export const CODE_PAGES = 0x30000;
export const CODE_PAGES_SIZE = 0x1000;

export const REGION_DESCRIPTORS = 0x31000;
export const MAX_REGIONS = 16384;
export const REGION_DESCRIPTOR_SIZE = 32;
export const REGION_EXTRA_PAGES = 2;
export const REGION_PAGE_SIZE = 12;
export const REGION_USED = 24;
export const REGION_STRADDLED = 28;
/** As often as that it may be; then it is to be made anew. */
export const STRADDLES = 2000;

export const SECOND_TLB = PREDECODED_OF_FRAME + PREDECODED_OF_FRAME_SIZE;
export const SECOND_TLB_ENTRIES = 8192;
export const SECOND_TLB_SIZE = SECOND_TLB_ENTRIES * 16;
export const SECOND_TAG = 0;
export const SECOND_HOST_PAGE = 8;
/** Permissions: 1 << ACCESS_*. */
export const SECOND_READ = 1;
export const SECOND_WRITE = 2;
/** Step and mask of the generation. */
export const SECOND_GENERATION_STEP = 4;
export const SECOND_GENERATION_MASK = 0xffc;

export const PREDECODED = SECOND_TLB + SECOND_TLB_SIZE;
/** Bytes of slots, without the sentinel. */
export const PREDECODED_SIZE = 0x4000;
export const COUNTERS = 0x4080;
export const REGIONS = 0x5080;
export const PREDECODED_STRIDE = 0x6080;

/** Values of a counter that count nothing any more: the place is being translated, or is. */
export const COUNT_QUEUED = 0xfffe;
export const COUNT_TRANSLATED = 0xffff;

/** Bytes of a hart block with room for so many predecoded pages. */
export const hartBlockSize = (predecodePages: number): number => PREDECODED + predecodePages * PREDECODED_STRIDE;
export const HART_BLOCK_SIZE = hartBlockSize(PREDECODE_PAGES);

/** Kinds of access, as the walker takes them. */
export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_FETCH = 2;
/** A write of zeros only (`cbo.zero`): to an absent page it changes nothing, and needs no frame. */
export const ACCESS_CLEAR = 3;
