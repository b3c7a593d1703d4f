/** JSON lines over a socket: what comes is a stranger's, and has a bound. */
import { ControlError } from './errors.js';

/** Bytes of a line, at most. */
export const MOST_LINE = 2 ** 20;

/** A function to be fed with what comes, however it is cut; throws ControlError `invalid` for a line that is too long. */
export function lineReader(onLine: (line: string) => void, most = MOST_LINE): (bytes: Uint8Array) => void {
  let parts: Uint8Array[] = [];
  let length = 0;
  return (bytes) => {
    let from = 0;
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
      parts.push(bytes.subarray(from, at));
      length += at - from;
      from = at + 1;
      if (length > most) break;
      const line = Buffer.concat(parts).toString();
      parts = [];
      length = 0;
      onLine(line);
    }
    if (from < bytes.length) {
      parts.push(bytes.slice(from));
      length += bytes.length - from;
    }
    if (length > most) throw new ControlError('invalid', `a line of more than ${most} bytes`);
  };
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Throws ControlError `invalid`. */
export function parseObject(line: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ControlError('invalid', `this is no JSON: ${line.slice(0, 80)}`);
  }
  if (!isObject(value)) throw new ControlError('invalid', `this is no JSON object: ${line.slice(0, 80)}`);
  return value;
}
