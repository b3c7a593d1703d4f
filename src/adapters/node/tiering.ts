/** What V8's optimizing compiler takes when, what it knows of it, and how much it makes of it. */
import { setFlagsFromString } from 'node:v8';

/** Its budgets are 32-bit numbers. */
const MOST = 2 ** 31 - 1;

/** For the core: an interpreter that is not optimized costs more than optimizing it too early. */
export const CORE_BUDGET = 20_000_000;

/**
 * V8 hands a function to its optimizing compiler after so many bytes of it have run, whatever it
 * takes to compile. What holds for a module is what the flag says when the module is compiled; the
 * flag is the whole process's, and harts that compile at the same time may get each other's.
 */
export function optimizeAfter(bytes: number): void {
  setFlagsFromString(`--wasm-tiering-budget=${Math.min(MOST, Math.ceil(bytes))}`);
}

/** Newer versions are not asked: they complain of options they do not know. */
const LAST_TO_ASK = 13;

/** Has V8 take note of which branches are likely: Node 20 to 24 must be asked to. */
export function heedHints(): void {
  const [major] = process.versions.v8.split('.');
  if (Number(major) <= LAST_TO_ASK) setFlagsFromString('--experimental-wasm-branch-hinting');
}

/**
 * For a process that runs guests and little else: has V8 compile each JavaScript function for itself, without those
 * it calls. Translators are no slower for it, and what they cost until they are compiled is half (docs/performance.md).
 * It is for all code of the process, so it is for the process's owner to say. Harts that run already keep what they have.
 */
export function dedicateProcess(): void {
  setFlagsFromString('--no-turbo-inlining');
}
