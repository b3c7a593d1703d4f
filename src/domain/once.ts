/**
 * A look that is taken once at each thing, whoever asks for it, and however often: what it comes to, or its failure, is
 * remembered as long as the thing is there.
 *
 *     const tableOf = once(({ hands, anchor }: LookContext) => readFile(hands, `/proc/${anchor.pid}/net/netlink`));
 */
export function once<K extends object, T>(look: (of: K) => Promise<T>): (of: K) => Promise<T> {
  const known = new WeakMap<K, Promise<T>>();
  return (of) => {
    const before = known.get(of);
    if (before !== undefined) return before;
    const now = look(of);
    known.set(of, now);
    return now;
  };
}
