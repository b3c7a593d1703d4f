/**
 * The flip itself, on the page maps of two logical address spaces (vmm/address-space.ts): one 32-bit entry per page,
 * frame number << 8 and flags.
 */
import { PAGE_PRESENT, PAGE_WRITABLE } from '../partition/address-space.js';
import { DomainError } from '../domain/errors.js';

/** Pages that change places: the i-th of `sources` with the i-th of `targets`, by page number in its space. */
export interface Pairs {
  readonly sources: Int32Array;
  readonly targets: Int32Array;
}

/** What an exchange came to. Copies are pairs of frames: what lies in the first shall be copied to the second. */
export interface Exchanged {
  readonly framesFlipped: number;
  /** For targets whose source has gone to another one. */
  readonly copies: readonly (readonly [from: number, to: number])[];
  /** For sources whose target has gone to another one. */
  readonly copiesBack: readonly (readonly [from: number, to: number])[];
}

/**
 * Throws `lost` if pairs cannot be exchanged between the spaces with these page maps; unless `back`, throws `changed`, passing,
 * if two sources are for one target: a kernel has given processes pages of their own that had one in common a moment ago.
 */
export function checkPairs({ sources, targets }: Pairs, a: Int32Array, b: Int32Array, back = false): void {
  const owner = new Int32Array(b.length);
  for (let i = 0; i < sources.length; i++) {
    const s = sources[i];
    const d = targets[i];
    // What lies outside has no entry: undefined.
    if (!(a[s] & PAGE_PRESENT) || !(b[d] & PAGE_PRESENT))
      throw new DomainError('lost', 'a page lies outside the memory of its OS instance');
    const claimed = owner[d];
    if (claimed !== 0 && claimed !== s + 1 && !back)
      throw new DomainError('changed', 'two pages were to go to the same place', { passing: true });
    owner[d] = s + 1;
  }
}

/** Exchanges what is behind the pages of pairs that {@link checkPairs} has found good. */
export function exchange({ sources, targets }: Pairs, a: Int32Array, b: Int32Array): Exchanged {
  const wentTo = new Int32Array(a.length);
  const cameFrom = new Int32Array(b.length);
  const copies: [number, number][] = [];
  const copiesBack: [number, number][] = [];
  let framesFlipped = 0;
  for (let i = 0; i < sources.length; i++) {
    const s = sources[i];
    const d = targets[i];
    const before = wentTo[s] - 1;
    if (before === d) continue;
    if (before >= 0) copies.push([b[before] >>> 8, b[d] >>> 8]);
    else if (cameFrom[d] !== 0) copiesBack.push([a[cameFrom[d] - 1] >>> 8, a[s] >>> 8]);
    else {
      const entry = a[s];
      a[s] = mapped(b[d]);
      b[d] = mapped(entry);
      wentTo[s] = d + 1;
      cameFrom[d] = s + 1;
      framesFlipped++;
    }
  }
  return { framesFlipped, copies, copiesBack };
}

const mapped = (entry: number): number => (entry & ~0xff) | PAGE_PRESENT | PAGE_WRITABLE;
