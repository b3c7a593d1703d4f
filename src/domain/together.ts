/**
 * As `Promise.all`, but nothing of it goes on any more when it answers: a failure is thrown, the first in order, only
 * when all have come to their end. What is then taken back meets nobody still at work.
 *
 * What the members ask of the same hands or the same process meanwhile travels together (guest/hands/gathering.ts).
 */
export async function together<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }>;
export async function together(work: readonly unknown[]): Promise<unknown[]> {
  const ends = await Promise.allSettled(work);
  return ends.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
}

/** Work that must be done one piece after the other, though it is asked for together. */
export class Sequence {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
