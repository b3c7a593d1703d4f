import type { Range } from '../memory/ranges.js';

/** Addresses with one protection, PROT_* bits. */
export interface Protected extends Range {
  readonly prot: number;
}

/**
 * Which protection mappings have at the moment. All lists are in order and their members do not overlap; each method
 * takes time in proportion to the lists, however many mappings are changed at once.
 */
export class Protections {
  #all: readonly Protected[] = [];

  get all(): readonly Protected[] {
    return this.#all;
  }

  /** From now on these ranges have these protections. */
  set(ranges: readonly Protected[]): void {
    const kept = without(this.#all, ranges);
    const out: Protected[] = [];
    let k = 0;
    for (const { start, end, prot } of ranges) {
      for (let next = kept[k]; next !== undefined && next.start < start; next = kept[++k]) out.push(next);
      out.push({ start, end, prot });
    }
    for (; k < kept.length; k++) out.push(kept[k]);
    this.#all = out;
  }

  /** Nothing is mapped there any more. */
  clear(ranges: readonly Range[]): void {
    this.#all = without(this.#all, ranges);
  }

  /** The parts of these ranges that have another protection, with the one they shall have; what touches is one. */
  differing(wanted: readonly Protected[]): Protected[] {
    const out: Protected[] = [];
    let k = 0;
    for (const { start, end, prot } of wanted) {
      for (; k < this.#all.length && this.#all[k].end <= start; k++);
      for (let i = k; i < this.#all.length && this.#all[i].start < end; i++) {
        const now = this.#all[i];
        if (now.prot === prot) continue;
        const part = { start: Math.max(now.start, start), end: Math.min(now.end, end), prot };
        const last = out.at(-1);
        if (last?.end === part.start && last.prot === prot) out[out.length - 1] = { ...last, end: part.end };
        else out.push(part);
      }
    }
    return out;
  }
}

/** What is left of protected ranges outside others. */
function without(all: readonly Protected[], ranges: readonly Range[]): Protected[] {
  const out: Protected[] = [];
  let k = 0;
  for (const p of all) {
    for (; k < ranges.length && ranges[k].end <= p.start; k++);
    let { start } = p;
    for (let i = k; i < ranges.length && ranges[i].start < p.end; i++) {
      if (ranges[i].start > start) out.push({ start, end: ranges[i].start, prot: p.prot });
      start = Math.max(start, ranges[i].end);
    }
    if (start < p.end) out.push({ start, end: p.end, prot: p.prot });
  }
  return out;
}
