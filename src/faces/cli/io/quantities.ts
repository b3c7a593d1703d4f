/** Quantities as one types them. */
import { UsageError } from '../usage.js';

const SIZES: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const TIMES: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function parse(option: string, text: string, pattern: RegExp, units: Readonly<Record<string, number>>, like: string) {
  const [, digits, unit = ''] = pattern.exec(text) ?? [];
  const value = digits === undefined ? NaN : Number(digits) * units[unit];
  if (Number.isFinite(value)) return value;
  throw new UsageError(`--${option} ${text}: it looks like ${like}`);
}

/** `10M/s`, `500K`: bytes per second. */
export function parseByteRate(option: string, text: string): number {
  const value = parse(option, text, /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?(?:\/s)?$/, SIZES, '10M/s');
  if (value >= 1) return value;
  throw new UsageError(`--${option} ${text}: at least one byte per second`);
}

/** `500/s`. */
export function parseRate(option: string, text: string): number {
  const value = parse(option, text, /^(\d+(?:\.\d+)?)(?:\/s)?$/, { '': 1 }, '500/s');
  if (value >= 0.001) return value;
  throw new UsageError(`--${option} ${text}: more than none`);
}

/** `30s`, `500ms`, `2m`: milliseconds; at most an hour. */
export function parseTime(option: string, text: string): number {
  const value = parse(option, text, /^(\d+(?:\.\d+)?)(ms|s|m|h)$/, TIMES, '30s or 500ms');
  if (value <= TIMES['h']) return value;
  throw new UsageError(`--${option} ${text}: at most an hour`);
}

/** `0.01`, `1%`: 0 to 1. */
export function parseShare(option: string, text: string): number {
  const value = parse(option, text, /^(\d+(?:\.\d+)?)(%?)$/, { '': 1, '%': 0.01 }, '0.01 or 1%');
  if (value <= 1) return value;
  throw new UsageError(`--${option} ${text}: from 0 to 1`);
}
