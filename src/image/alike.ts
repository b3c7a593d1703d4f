/** Names that somebody may have meant. */

const MOST = 5;
/** Letters that are wrong, at most: more, and nearly everything is like everything. */
const MOST_WRONG = 2;

/** The names most like `name`, the likeliest first: of few wrong letters, or with `name` as their beginning. */
export function alike(name: string, among: readonly string[]): string[] {
  const near = among.flatMap((other) => {
    const wrong = distance(name, other, MOST_WRONG);
    if (wrong !== undefined) return [{ other, rank: wrong }];
    return name.length > 2 && other.startsWith(name) ? [{ other, rank: MOST_WRONG + other.length - name.length }] : [];
  });
  near.sort((a, b) => a.rank - b.rank || (a.other < b.other ? -1 : 1));
  return near.slice(0, MOST).map(({ other }) => other);
}

/** Letters to be put in, left out, exchanged, or swapped with their neighbour; undefined if they are more than `most`. */
function distance(a: string, b: string, most: number): number | undefined {
  if (Math.abs(a.length - b.length) > most) return undefined;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    if (Math.min(...next) > most) return undefined;
    [before, row] = [row, next];
  }
  const found = row[b.length] ?? 0;
  return found <= most ? found : undefined;
}
