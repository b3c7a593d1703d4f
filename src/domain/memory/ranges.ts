/** Half-open ranges of addresses. A list of ranges is sorted and its members do not touch. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The same addresses as a sorted list whose members do not touch. */
export function normalize(ranges: readonly Range[]): Range[] {
  const out: { start: number; end: number }[] = [];
  for (const r of [...ranges].filter((x) => x.end > x.start).sort((a, b) => a.start - b.start)) {
    const last = out[out.length - 1];
    if (last !== undefined && r.start <= last.end) last.end = Math.max(last.end, r.end);
    else out.push({ start: r.start, end: r.end });
  }
  return out;
}

/** What is in `a` and not in `b`; both normalized. */
export function subtract(a: readonly Range[], b: readonly Range[]): Range[] {
  const out: Range[] = [];
  let k = 0;
  for (const r of a) {
    let start = r.start;
    while (k > 0 && (b[k - 1]?.end ?? 0) > start) k--;
    for (; k < b.length; k++) {
      const hole = b[k];
      if (hole === undefined || hole.start >= r.end) break;
      if (hole.end <= start) continue;
      if (hole.start > start) out.push({ start, end: hole.start });
      start = Math.max(start, hole.end);
    }
    if (start < r.end) out.push({ start, end: r.end });
  }
  return out;
}

/** What is in both; both normalized. */
export function intersect(a: readonly Range[], b: readonly Range[]): Range[] {
  const out: Range[] = [];
  let i = 0;
  let k = 0;
  while (i < a.length && k < b.length) {
    const x = a[i];
    const y = b[k];
    if (x === undefined || y === undefined) break;
    const start = Math.max(x.start, y.start);
    const end = Math.min(x.end, y.end);
    if (start < end) out.push({ start, end });
    if (x.end < y.end) i++;
    else k++;
  }
  return out;
}

/** Those of `a` that have a part in `b`; both in order. */
export function touching<T extends Range>(a: readonly T[], b: readonly Range[]): T[] {
  let k = 0;
  return a.filter((r) => {
    for (; k < b.length && (b[k]?.end ?? 0) <= r.start; k++);
    return (b[k]?.start ?? Infinity) < r.end;
  });
}

export function total(ranges: readonly Range[]): number {
  return ranges.reduce((n, r) => n + r.end - r.start, 0);
}
