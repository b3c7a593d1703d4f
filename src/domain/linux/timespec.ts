const SECOND = 1_000_000_000n;

/** Nanoseconds as a `struct timespec` has them: seconds, which go down before 1970, and what is to be added to them. */
export function timespecOf(ns: bigint): [seconds: bigint, nanoseconds: bigint] {
  const rest = ((ns % SECOND) + SECOND) % SECOND;
  return [(ns - rest) / SECOND, rest];
}
