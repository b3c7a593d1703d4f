/** The last piece of work that each has been promised to. */
const last = new WeakMap<object, Promise<void>>();

/**
 * Does work that has some to itself: it begins when all work that was asked for before, with any of the same, has ended,
 * however that ended. Answers or throws what the work does.
 */
export async function inTurn<T>(some: readonly object[], work: () => Promise<T>): Promise<T> {
  const before = some.map((one) => last.get(one) ?? Promise.resolve());
  let done = (): void => undefined;
  const turn = new Promise<void>((resolve) => (done = resolve));
  for (const one of some) last.set(one, turn);
  try {
    await Promise.all(before);
    return await work();
  } finally {
    done();
  }
}
