/** Exception codes (privileged specification 12.1.8, table of scause). */
export const CAUSE_FETCH_ACCESS = 1;
export const CAUSE_ILLEGAL = 2;
export const CAUSE_BREAKPOINT = 3;
export const CAUSE_LOAD_MISALIGNED = 4;
export const CAUSE_LOAD_ACCESS = 5;
export const CAUSE_STORE_MISALIGNED = 6;
export const CAUSE_STORE_ACCESS = 7;
export const CAUSE_ECALL_U = 8;
export const CAUSE_FETCH_PAGE = 12;
export const CAUSE_LOAD_PAGE = 13;
export const CAUSE_STORE_PAGE = 15;
/** Bit 63 of scause marks an interrupt; the code is the bit number in sip. */
export const INTERRUPT_SOFTWARE = 1;
export const INTERRUPT_TIMER = 5;
export const INTERRUPT_EXTERNAL = 9;
