/** Gives a program what an iterable has, to its end. */
import type { DomainInput, InputData } from './host-side.js';

/**
 * Resolves at the end of the iterable, which is the end of the input also where it fails; or when the program reads no more, or its
 * domain has ended: then the iterable is told to end (`return`).
 */
export async function feed(
  data: Iterable<InputData> | AsyncIterable<InputData>,
  input: DomainInput,
  ended: Promise<unknown>,
): Promise<void> {
  const pieces = Symbol.asyncIterator in data ? data[Symbol.asyncIterator]() : data[Symbol.iterator]();
  const over = ended.then(() => undefined);
  try {
    for (;;) {
      // Whoever has nothing to say does not keep us when nobody hears it any more.
      const next = await Promise.race([pieces.next(), over]);
      if (next === undefined) break;
      if (next.done === true) {
        await input.end();
        return;
      }
      await input.write(next.value);
    }
  } catch {
    await input.end().catch(() => undefined);
  }
  await Promise.resolve(pieces.return?.()).catch(() => undefined);
}
