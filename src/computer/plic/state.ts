/**
 * The state page of a platform-level interrupt controller.
 *
 *   0x000  lock
 *   0x010  line levels        3 words, bit i of word w: source 32 w + i is high
 *   0x020  pending (IP)       3 words
 *   0x030  in service         3 words: claimed and not yet completed
 *   0x100  priority           96 words, one per source; source 0 does not exist
 *   0x400  context 0 … 63     32 bytes each:
 *            +0x00  enable    3 words
 *            +0x0c  threshold
 *            +0x10  output    1 while the context's external interrupt is raised
 */
export const LOCK = 0x000;
export const LEVEL = 0x010;
export const PENDING = 0x020;
export const IN_SERVICE = 0x030;
export const PRIORITY = 0x100;
export const CONTEXT = 0x400;
export const CONTEXT_SIZE = 0x20;
export const ENABLE = 0x00;
export const THRESHOLD = 0x0c;
export const OUTPUT = 0x10;

/** Words of one bit per source. */
export const SOURCE_WORDS = 3;
/** Sources 1 … 95, as `riscv,ndev` says. */
export const PLIC_SOURCES = 32 * SOURCE_WORDS - 1;
export const PLIC_CONTEXTS = 64;
/** Priorities and thresholds have three bits. */
export const PRIORITY_MASK = 7;
