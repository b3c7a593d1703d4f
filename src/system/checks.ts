/**
 * What the library's user says, checked before anything is done with it: programs that are not type-checked, and options
 * that come from files, say anything. Each check gives back what was said, or throws SystemError `invalid`, which says
 * which option it is, what was given and what is wanted.
 */
import { SystemError } from './errors.js';

/** Of what was given, in a message (characters). */
const SHOWN = 40;
/** Linux has no longer host name (HOST_NAME_MAX), and an instance's name is its host name (bytes of UTF-8). */
const LONGEST_NAME = 64;
/** Columns and rows of a terminal: the device has 16 bits for each (virtio 1.2, 5.3.4). */
export const MOST_CHARACTERS = 65535;
const NAME = /^[^\s\p{Cc}\p{Cs}]+$/u;

/** What was given, on one short line. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `${JSON.stringify(value.slice(0, SHOWN))}${value.length > SHOWN ? '…' : ''}`;
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object';
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'bigint':
      return 'a BigInt';
    default:
      return String(value);
  }
}

/** Says which option it is, what is wanted, and what was given. */
export function refuse(option: string, wanted: string, given: unknown): never {
  throw new SystemError('invalid', `${option} is ${wanted}, not ${shown(given)}`);
}

/** A whole number from `least` to `most`: harts, weights, characters of a line. */
export function checkCount(option: string, value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const from = most === Number.MAX_SAFE_INTEGER ? `${least} on` : `${least} to ${most}`;
  return refuse(option, `a whole number from ${from}`, value);
}

/** Bytes: from `least` to `most`, and a multiple of `unit`. */
export function checkBytes(
  option: string,
  value: unknown,
  { least = 1, most = Number.MAX_SAFE_INTEGER, unit = 1 }: { least?: number; most?: number; unit?: number } = {},
): number {
  const isOne = typeof value === 'number' && Number.isSafeInteger(value) && value % unit === 0;
  if (isOne && value >= least && value <= most) return value;
  const what = unit === 1 ? 'a whole number of bytes' : `a multiple of ${unit} bytes`;
  return refuse(
    option,
    `${what}, ${least} or more${most === Number.MAX_SAFE_INTEGER ? '' : `, at most ${most}`}`,
    value,
  );
}

/** A number, not always a whole one, that is `least` or more; Infinity too. */
export function checkAmount(option: string, value: unknown, least: number): number {
  if (typeof value === 'number' && value >= least) return value;
  return refuse(option, `a number, ${least} or more`, value);
}

/** A word that a guest can have for its host name. */
export function checkName(option: string, value: unknown): string {
  if (typeof value === 'string' && value.length <= LONGEST_NAME && NAME.test(value)) {
    if (new TextEncoder().encode(value).length <= LONGEST_NAME) return value;
  }
  return refuse(option, `a word of at most ${LONGEST_NAME} bytes, without spaces`, value);
}

/** Text; what it may hold, whoever reads it says. */
export function checkText(option: string, value: unknown): string {
  return typeof value === 'string' ? value : refuse(option, 'text', value);
}

/** True or false. */
export function checkSwitch(option: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse(option, 'true or false', value);
}

/** An object with options. */
export function checkOptions<T extends object>(option: string, value: T): T;
export function checkOptions(option: string, value: unknown): object {
  const isOne = typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
  return isOne ? value : refuse(option, 'an object', value);
}

/** A list. */
export function checkList<T>(option: string, value: readonly T[]): readonly T[];
export function checkList(option: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : refuse(option, 'a list', value);
}

/** Something of a kind that this library makes. */
export function checkKind<T>(option: string, value: T, kind: abstract new (...of: never[]) => T, wanted: string): T {
  return value instanceof kind ? value : refuse(option, wanted, value);
}

/** The path of a file, or its contents. */
export function checkSource(option: string, value: unknown): void {
  if (typeof value === 'string' || ArrayBuffer.isView(value)) return;
  refuse(option, 'the path of a file, or its contents (Uint8Array)', value);
}

/** The path of a file. */
export function checkPath(option: string, value: unknown): string {
  return typeof value === 'string' && !value.includes('\0') ? value : refuse(option, 'the path of a file', value);
}
