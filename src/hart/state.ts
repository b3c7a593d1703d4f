/**
 * The state of one hart: plain data in the computer's shared memory, so that the
 * interpreter and translated code (WebAssembly), the worker that runs the hart and
 * the VMM on another thread all see the same words.
 *
 * A hart block starts at a byte offset `h` of the shared memory (4 KiB aligned):
 *
 *   h + 0x0000  hart state (one page, below)
 *   h + 0x1000  data TLBs, one per translation mode (see tlb.ts)
 *   h + …       fetch TLB and predecoded pages (see predecode.ts)
 *
 * The state page:
 *
 *   0x000  x0 … x31                 32 × i64   x0 is never written
 *   0x100  sink                     i64        where writes to x0 go
 *   0x108  pc                       i64
 *   0x110  sstatus, sie, stvec, sscratch, sepc, scause, stval, satp,
 *          scounteren, senvcfg, stimecmp, instret      12 × i64
 *   0x180  words (i32), see below
 *   0x200  f0 … f31                 32 × i64   NaN-boxed as the specification says (F, section 21.2)
 *   0x300  scratch for exits        i64 …
 *   0x310  what the TLBs and the jump cache count by, see below
 *   0x330  what a region and the run loop tell each other, see below
 *   0x340  SEAT                     i32
 *   0x348  where its time goes, see below
 *
 * Words marked (shared) are written by other threads and must be accessed with atomics.
 */

/** Byte offsets from the start of a hart block. */
export const X = 0x000;
export const SINK = 0x100;
export const PC = 0x108;
export const SSTATUS = 0x110;
export const SIE = 0x118;
export const STVEC = 0x120;
export const SSCRATCH = 0x128;
export const SEPC = 0x130;
export const SCAUSE = 0x138;
export const STVAL = 0x140;
export const SATP = 0x148;
export const SCOUNTEREN = 0x150;
export const SENVCFG = 0x158;
export const STIMECMP = 0x160;
/** Instructions retired since the hart started; also what the `cycle` counter shows. While the hart runs, some are missing: `Context.uncounted`. */
export const INSTRET = 0x168;

/** Interrupts pending, bits as in `sip` (shared). */
export const SIP = 0x180;
/**
 * SIGNAL_RAISED when the hart must leave its run loop soon: an interrupt, a shoot-down or a
 * request; else 0 (shared). The run loop leaves when its budget is not above this word: one comparison for both.
 */
export const SIGNAL = 0x184;
export const SIGNAL_RAISED = 0x7fffffff;
/** Requests of the VMM, REQUEST_* bits (shared). */
export const REQUEST = 0x188;
/** What the hart is doing, a RUN_STATE_* value; also the word an idle hart waits on (shared). */
export const RUN_STATE = 0x18c;
/** Counts shoot-downs this hart has carried out (shared). */
export const SHOOTDOWN_DONE = 0x190;
/** Counts shoot-downs asked of this hart (shared). */
export const SHOOTDOWN_ASKED = 0x194;
/** Privilege: 0 user, 1 supervisor. */
export const PRIVILEGE = 0x198;
/** Byte offset, from the start of the block, of the data TLB of the present translation mode. */
export const TLB_BASE = 0x19c;
/** Accrued floating-point exception flags (fcsr[4:0]). */
export const FFLAGS = 0x1a0;
/** Dynamic rounding mode (fcsr[7:5]). */
export const FRM = 0x1a4;
/** LR/SC reservation: byte offset in shared memory, with bit 0 set for a doubleword; or -1. */
export const RESERVATION = 0x1a8;
/** Hart id inside its OS instance, as SBI and the device tree name it. */
export const HART_ID = 0x1ac;
/** The value an LR loaded, compared by the SC (i64). */
export const RESERVED_VALUE = 0x1b0;
/** Where this hart's OS instance has its memory: guest-physical base (i64), pages, and byte offset of the page map. */
export const RAM_BASE = 0x1b8;
export const RAM_PAGES = 0x1c0;
export const PAGE_MAP = 0x1c4;
/** Byte offset of the computer's frame words (see frames in `computer/memory.ts`). */
export const FRAME_WORDS = 0x1c8;
/** Non-zero if the TLBs may hold anything: what makes a second flush in a row free. */
export const TLB_FILLED = 0x1cc;
/** Which halves of the address space have superpage entries in the TLB: bit 0 low (user), bit 1 high. */
export const TLB_SUPERPAGES = 0x1d0;

export const F = 0x200;

/** Where exits and imports pass values: a faulting address, an MMIO value, … (i64 each). */
export const EXIT_A = 0x300;
export const EXIT_B = 0x308;

/** Of a hart that shares the computer's harts with others: a SEAT_* value (shared); computer/seats.ts. */
export const SEAT = 0x340;

/** Where the hart's time goes (doubles, written by its own thread): computer/hart-time.ts. */
export const BEGAN = 0x348;
export const WAITED = 0x350;
export const WAITS_SINCE = 0x358;

/** Epochs of the jump cache (see tlb.ts): user mode's, supervisor mode's (i32 each); and the last one begun. */
export const EPOCHS = 0x310;
export const LAST_EPOCH = 0x318;
/** Generations of the second data TLB (see tlb.ts) by translation mode (3 × i32), and the last one begun. */
export const LAST_GENERATION = 0x31c;
export const TLB_GENERATIONS = 0x320;
/** Non-zero if the TLBs may hold translations of supervisor mode that are not global. */
export const TLB_LOCAL = 0x32c;
/** Address spaces that were in use lately, direct-mapped by ASID: 1 + ASID (0: none), generation, epoch (i32 each). */
export const SPACES = 0x400;
export const SPACES_SIZE = 0x100;
export const SPACE_SIZE = 16;
export const SPACE_TAG = 0;
export const SPACE_GENERATION = 4;
export const SPACE_EPOCH = 8;

export const HART_STATE_SIZE = 0x1000;

/** Byte offset of the OS instance's reserve of frames for absent pages (see computer/reserve.ts); 0: it has none. */
export const RESERVE = 0x1e8;

/** Instructions left of the turn, while translated code runs. */
export const BUDGET = 0x1ec;
/**
 * Of the region that runs: the virtual address of the page it starts in (i64). When it is left: 1 + where the hart
 * goes on, as a distance from that page, or 0 if the pc says so; why: 0, 1 + an EXIT_* reason, or REGION_* (exits.ts).
 */
export const REGION_PAGE = 0x330;
export const REGION_END = 0x338;
export const REGION_REASON = 0x33c;
/** Arrivals at a place of interpreted code that make it hot; 0: nothing ever is. At most 65,000. */
export const HOT_THRESHOLD = 0x1f0;

/** Of a block that an access has trapped in: instructions behind the access, counted but not executed. Else 0. */
export const UNCOUNTED = 0x1fc;

/** The predecoded page that the clock which makes room looks at next. */
export const PREDECODE_HAND = 0x1f4;

/** Host page of the code that the interpreter runs. */
export const CODE_HOST_PAGE = 0x1f8;

/** SBI hart state management: a HSM_* value (shared); where a start begins and its argument (i64 each). */
export const HSM = 0x1d4;
export const HSM_START = 0x1d8;
export const HSM_OPAQUE = 0x1e0;

/** HSM values (SBI 2.0, 9.1). */
export const HSM_STARTED = 0;
export const HSM_STOPPED = 1;
export const HSM_START_PENDING = 2;
/** Ours: a hart_start has taken the stopped hart and is about to write where it begins. It shows as START_PENDING. */
export const HSM_CLAIMED = 0x100;
/** Ours: the OS instance has no such hart now, and nobody but the VMM changes that. */
export const HSM_ABSENT = 0x200;

/** Page map entry: frame number << 8 | flags. A frame number is a byte offset in shared memory >> 12. 0: not memory. */
export const PAGE_PRESENT = 1;
export const PAGE_WRITABLE = 2;
/** The whole of an entry: memory that reads as zeros and has no frame yet. It gets one when it is first touched. */
export const PAGE_ABSENT = 4;

/**
 * Frame word: bit 0 is set while predecoded or translated code of the frame may exist,
 * the other bits count how often such code became stale.
 */
export const FRAME_CODE = 1;

/** REQUEST bits. */
export const REQUEST_PAUSE = 1;
export const REQUEST_STOP = 2;

/** RUN_STATE values. */
export const RUN_STATE_STOPPED = 0;
export const RUN_STATE_RUNNING = 1;
export const RUN_STATE_IDLE = 2;
export const RUN_STATE_PAUSED = 3;

/** SEAT values: it wants none, waits for one, has one, has one and is to leave it. */
export const SEAT_NONE = 0;
export const SEAT_WANTED = 1;
export const SEAT_HELD = 2;
export const SEAT_LEAVE = 3;

/** Bits of sip and sie (privileged specification 12.1.3). */
export const SSIP = 1 << 1;
export const STIP = 1 << 5;
export const SEIP = 1 << 9;

/** How many harts an OS instance has now, of those that it can have: the first ones. */
export function hartsThere(words: Int32Array, harts: readonly number[]): number {
  let there = harts.length;
  while (there > 0 && Atomics.load(words, (harts[there - 1] + HSM) >>> 2) === HSM_ABSENT) there--;
  return there;
}

/**
 * Sets or clears interrupt bits of a hart and wakes it.
 * Callable from any thread; `words` views the whole shared memory.
 */
export function setPending(words: Int32Array, h: number, bits: number, level: boolean): void {
  if (level) {
    Atomics.or(words, (h + SIP) >>> 2, bits);
    signal(words, h);
  } else {
    Atomics.and(words, (h + SIP) >>> 2, ~bits);
  }
}

/** Makes the hart leave its run loop, or its wait, soon. Callable from any thread. */
export function signal(words: Int32Array, h: number): void {
  Atomics.store(words, (h + SIGNAL) >>> 2, SIGNAL_RAISED);
  Atomics.notify(words, (h + SIGNAL) >>> 2);
}
