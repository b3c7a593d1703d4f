/** Why a hart's run loop came back to the worker. */
/** A signal is set or the budget is used up: look at interrupts, the clock and requests. */
export const EXIT_SIGNAL = 0;
/** wfi: pc is after it. */
export const EXIT_WFI = 1;
/** ecall from supervisor mode: pc is at it. */
export const EXIT_SBI = 2;
/** The hands' ring: pc is at it. */
export const EXIT_HANDS = 3;

/**
 * What a region's function returns if the interpreter must go on, whatever has been translated: when it has done
 * nothing because what it was translated for does not hold, or before an instruction in the middle of a loop.
 */
export const REGION_REFUSES = -1;
/** The same before accesses that could not be looked up together; see `REGION_STRADDLED`. */
export const REGION_STRADDLES = -2;
