/**
 * What a seal keeps of your state. It is written as JSON, and JSON changes a
 * good deal without a word: a Date becomes a string, a Map `{}`, NaN `null`,
 * and undefined vanishes. What would not come back as it went in is refused:
 * by the types below where they can tell, else when it is sealed. Only
 * properties named by symbols are left to the types, and -0 comes back as 0.
 */
import { SessionError } from './errors.js';
import type { Json } from './types.js';

/** Shows in the compiler's message why a type cannot be sealed. No value has this type. */
export interface NotKept<Why extends string> {
  readonly 'a seal does not keep this': Why;
}

/** A property that may be left out may be so; one that is there must not be undefined. */
export type Property<T, K extends keyof T> = object extends Pick<T, K> ? Exclude<T[K], undefined> : T[K];

/** A value as a seal keeps it, or {@link NotKept} with the reason. */
export type KeptValue<T> = [T] extends [Json]
  ? T
  : unknown extends T
    ? NotKept<'unknown may be anything: name the type'>
    : T extends string | number | boolean | null
      ? T
      : T extends undefined
        ? NotKept<'undefined vanishes: leave the property out (name?: ...), or use null'>
        : T extends bigint
          ? NotKept<'JSON has no bigint: use a string'>
          : T extends symbol
            ? NotKept<'JSON has no symbols'>
            : T extends (...args: never[]) => unknown
              ? NotKept<'JSON has no functions'>
              : T extends Date
                ? NotKept<'a Date comes back as a string: keep getTime() or toISOString()'>
                : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
                  ? NotKept<'a Map or Set comes back as {}: use an object or an array'>
                  : T extends ArrayBufferView | ArrayBuffer
                    ? NotKept<'bytes come back as an object: keep them as text'>
                    : T extends { toJSON(...args: never[]): unknown }
                      ? NotKept<'it comes back as what its toJSON returns: keep that'>
                      : Kept<T>;

/**
 * `T` where a seal keeps every part of it; else a type that `T` does not fit,
 * with the reason in the compiler's message. Interfaces will do.
 *
 * @example
 * function f<A extends Kept<A>>(activity: A): void;
 */
export type Kept<T> = (string | number | boolean | object | null) & {
  [K in keyof T]: K extends symbol ? NotKept<'JSON has no properties named by symbols'> : KeptValue<Property<T, K>>;
};

/** A refusal on its way out: the path is put together from the inside. */
class Lost {
  constructor(
    readonly what: string,
    public path = '',
  ) {}
}

function within(lost: Lost, key: string | number): Lost {
  lost.path = typeof key === 'number' ? `[${key}]${lost.path}` : `.${key}${lost.path}`;
  return lost;
}

function lostObject(value: object): Lost | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  // A plain object of another realm (a worker's, a test runner's) has another Object.prototype, above which is nothing.
  if (prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null)
    return undefined;
  const name = value.constructor?.name || 'object of a class';
  return new Lost(`is a ${name}, which comes back as something else: keep a plain object, an array or text`);
}

function lost(value: unknown): Lost | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : new Lost(`is ${value}, which JSON has not: use null or text`);
    case 'object':
      break;
    case 'undefined':
      return new Lost('is undefined, which vanishes: leave it out, or use null');
    default:
      return new Lost(`is a ${typeof value}, which JSON has not`);
  }
  if (value === null) return undefined;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = lost(value[i]);
      if (found !== undefined) return within(found, i);
    }
    return undefined;
  }
  const found = lostObject(value);
  if (found !== undefined) return found;
  for (const key in value) {
    const inside = lost((value as Record<string, unknown>)[key]);
    // What somebody has hung on Object.prototype is not written, and so not lost.
    if (inside !== undefined && Object.hasOwn(value, key)) return within(inside, key);
  }
  return undefined;
}

function check(value: unknown, name: string): void {
  const found = lost(value);
  if (found !== undefined) throw new SessionError('bad-argument', `session.${name}${found.path} ${found.what}`);
}

/**
 * The JSON of a session's activity and data, and of its generation when there is one.
 *
 * @throws SessionError `bad-argument` for what would come back as something else, with its place
 */
export function writeJson(activity: unknown, data: unknown, generation: number): string {
  try {
    // First: it finds the circles that the check would run in for ever.
    const json = JSON.stringify(generation > 0 ? [activity, data, generation] : [activity, data]);
    check(activity, 'activity');
    check(data, 'data');
    return json;
  } catch (error) {
    if (error instanceof SessionError) throw error;
    throw new SessionError('bad-argument', 'the activity or the data is not JSON', { cause: error });
  }
}
