/** Slots of instructions that often follow each other do both: one dispatch instead of two. */
import { firstOf, lengthOfFirst, pairOf } from './isa/operations.js';
import { SLOT_SIZE } from './slots.js';

/** Words of a slot. */
const STEP = SLOT_SIZE / 4;

/**
 * Fuses the slots from word offset `first` until before `end`, with the one at `end`, too. Each
 * instruction keeps a slot of its own, with its operands: it may be jumped to, and the operation
 * that begins before it takes them from there.
 */
export function fuseSlots(words: Int32Array, first: number, end: number): void {
  let operation = words[first] & 0xff;
  for (let slot = first; slot < end;) {
    const next = slot + STEP * lengthOfFirst[operation];
    if (next === slot || next > end) return;
    const following = words[next] & 0xff;
    const pair = pairOf[(firstOf[operation] << 8) | firstOf[following]];
    if (pair !== 0) words[slot] = (words[slot] & ~0xff) | pair;
    slot = next;
    operation = following;
  }
}
