import type { Range } from '../memory/ranges.js';

/** Addresses with one protection, PROT_* bits. */
export interface Protected extends Range {
  readonly prot: number;
}

/** Which protection mappings have at the moment. */
export class Protections {
  #all: Protected[] = [];

  /** From now on all of the range has this protection. */
  set(range: Range, prot: number): void {
    this.clear(range);
    this.#all.push({ start: range.start, end: range.end, prot });
  }

  /** Nothing is mapped there any more. */
  clear({ start, end }: Range): void {
    const out: Protected[] = [];
    for (const p of this.#all) {
      if (p.end <= start || p.start >= end) {
        out.push(p);
        continue;
      }
      if (p.start < start) out.push({ ...p, end: start });
      if (p.end > end) out.push({ ...p, start: end });
    }
    this.#all = out;
  }

  /** What the parts of a range have that are mapped. */
  within({ start, end }: Range): Protected[] {
    return this.#all.flatMap((p) =>
      p.end <= start || p.start >= end
        ? []
        : [{ start: Math.max(p.start, start), end: Math.min(p.end, end), prot: p.prot }],
    );
  }
}
