/**
 * Waits until a device may change hands: until nothing goes on between it and its driver, no hart is at its registers,
 * and none can come to them.
 *
 *        ┌── hold kicks ──▶ [look] ──something goes on──▶ wait ──▶ [look] …
 *        │                    │ nothing                              │ too long
 *     driving                 ▼                                      ▼
 *        ▲                 hold the slot ──a hart is there──▶ let go, wait   go on as before: `busy`
 *        │                    │ nobody
 *        │                    ▼
 *        └── let go ──── stands still
 */
import type { Board } from '../computer/board.js';
import type { VirtioDevice } from '../computer/virtio/device.js';
import { InterpositionError } from './errors.js';

/** Looks follow each other at once for so long (ms), then a millisecond apart. */
const EAGER = 3;
/** A hart at some function's registers is waited for with the slot held (ms); most are there for a microsecond. */
const AT_REGISTERS = 0.05;

export interface StandStillOptions {
  readonly board: Board;
  readonly slot: number;
  /** Who answers in the slot. */
  readonly device: VirtioDevice;
  /** What has to be over first, in words; undefined: nothing. */
  readonly goesOn: () => string | undefined;
  /** Whether the device has left its slot. */
  readonly isGone: () => boolean;
  /** Milliseconds. */
  readonly limit: number;
  readonly soon: (run: () => void) => void;
  readonly signal?: AbortSignal | undefined;
}

/** How a switch went. */
export interface SwitchReport {
  /** Milliseconds until the device stood still. */
  readonly waitMs: number;
  /** Milliseconds of the switch itself, in which the device could not be reached. */
  readonly switchMs: number;
}

/**
 * Calls `change` in the first moment in which the device stands still and its slot is held: nothing else of the process
 * comes in between. It has to end with an answer in the slot and the device's `goOn`, or throw.
 * Throws InterpositionError `busy`, `closed`, or the signal's reason, and what `change` throws; the device goes on as
 * before then, with whoever answered for it.
 */
export async function standStill(options: StandStillOptions, change: () => void): Promise<SwitchReport> {
  const { board, slot, device, isGone, limit, soon, signal } = options;
  const begin = performance.now();
  signal?.throwIfAborted();
  const gone = (): InterpositionError => new InterpositionError('closed', 'the device was taken out meanwhile');
  if (isGone()) throw gone();
  device.holdKicks();
  try {
    for (;;) {
      const page = board.slots.at(slot);
      const why = tryToHold(options);
      const now = performance.now();
      if (why === undefined) {
        try {
          change();
        } catch (error) {
          board.slots.answer(slot, page);
          throw error;
        }
        return { waitMs: now - begin, switchMs: performance.now() - now };
      }
      signal?.throwIfAborted();
      if (now - begin >= limit) {
        throw new InterpositionError('busy', `after ${limit} ms there is still ${why}; the device is as it was`);
      }
      if (now - begin < EAGER) await new Promise<void>((resolve) => soon(resolve));
      else await new Promise<void>((resolve) => setTimeout(resolve, 1));
      if (isGone()) throw gone();
    }
  } catch (error) {
    if (!isGone()) device.goOn();
    throw error;
  }
}

/** Undefined: the slot is held and nothing goes on. */
function tryToHold({ board, slot, goesOn }: StandStillOptions): string | undefined {
  const { slots } = board;
  const before = goesOn();
  if (before !== undefined) return before;
  const page = slots.at(slot);
  slots.hold(slot);
  const begin = performance.now();
  let inUse = slots.inUse;
  while (inUse && performance.now() - begin < AT_REGISTERS) inUse = slots.inUse;
  // A hart may have begun something just before the slot was held.
  const why = inUse ? 'a hart at the registers' : goesOn();
  if (why !== undefined) slots.answer(slot, page);
  return why;
}
