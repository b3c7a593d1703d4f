/** What the options of uses have in common: what cannot be is refused before anything is done. */
import { InterpositionError } from '../errors.js';

const refuse = (what: string): never => {
  throw new InterpositionError('invalid', what);
};

/** A finite number of at least `least`; `fallback` if it was not told. */
export function numberOf(name: string, value: number | undefined, fallback: number, least = 0): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < least) {
    refuse(`${name} is a number of at least ${least}, not ${String(value)}`);
  }
  return value;
}

/** Timers of hosts wait for less than 2^31 ms; latency and jitter come together. */
const MOST_MILLISECONDS = 2 ** 30;

/** A time in milliseconds; 0 if it was not told. */
export function milliseconds(name: string, value: number | undefined): number {
  const given = numberOf(name, value, 0);
  if (given > MOST_MILLISECONDS) refuse(`${name} is at most ${MOST_MILLISECONDS} ms, not ${given}`);
  return given;
}

/** Throws InterpositionError `invalid` for a rule that does nothing: it was meant to do something. */
export function refuseIdle(what: string, ...does: readonly number[]): void {
  if (does.every((much) => much === 0)) refuse(`${what} that does nothing`);
}

/** A finite number above 0, or undefined. */
export function positive(name: string, value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    refuse(`${name} is a number above 0, not ${String(value)}`);
  }
  return value;
}

/** A share of 0 to 1; 0 if it was not told. */
export function fraction(name: string, value: number | undefined): number {
  const given = numberOf(name, value, 0);
  if (given > 1) refuse(`${name} is a share of 0 to 1, not ${given}`);
  return given;
}

/** Bounds of a weight: one user's turn may be so many times another's. */
const MOST_WEIGHT = 1000;

/** How much of a device one of its users gets beside the others: 1 unless told. */
export function weightOf(value: number | undefined): number {
  const given = positive('a weight', value) ?? 1;
  if (given > MOST_WEIGHT || given < 1 / MOST_WEIGHT) {
    refuse(`a weight is from ${1 / MOST_WEIGHT} to ${MOST_WEIGHT}, not ${given}`);
  }
  return given;
}

/** Some sectors of a disk of `total`: all from `first` on unless told how many. */
export function rangeOf(
  { first, sectors }: { readonly first?: number | undefined; readonly sectors?: number | undefined },
  total: number,
): { readonly first: number; readonly sectors: number } {
  const begin = numberOf('first', first, 0);
  const count = numberOf('sectors', sectors, total - begin);
  const fits = Number.isSafeInteger(begin) && Number.isSafeInteger(count) && count > 0 && begin + count <= total;
  if (!fits) refuse(`sectors ${begin} to ${begin + count} are no range of a disk that has ${total}`);
  return { first: begin, sectors: count };
}

/** Bytes and operations per second, one of them or both. */
export interface RateLimit {
  readonly bytesPerSecond?: number;
  readonly operationsPerSecond?: number;
  /** So many seconds' worth may come at once after a rest: 0.1 unless told. */
  readonly burst?: number;
}

const DEFAULT_BURST = 0.1;

/** What a limit comes to. */
export interface Rates {
  readonly bytes: number | undefined;
  readonly operations: number | undefined;
  readonly burst: number;
}

/** Throws InterpositionError `invalid`. */
export function ratesOf({ bytesPerSecond, operationsPerSecond, burst }: RateLimit): Rates {
  const bytes = positive('bytesPerSecond', bytesPerSecond);
  const operations = positive('operationsPerSecond', operationsPerSecond);
  if (bytes === undefined && operations === undefined)
    refuse('a limit says bytesPerSecond, operationsPerSecond or both');
  return { bytes, operations, burst: positive('burst', burst) ?? DEFAULT_BURST };
}

/** How long something is kept back: `latency` milliseconds, up to `jitter` more or less. */
export function delayOf(latency: number, jitter: number, random: () => number): number {
  return jitter === 0 ? latency : Math.max(0, latency + jitter * (2 * random() - 1));
}
