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

/** What an exchange came to. */
export interface Exchanged {
  readonly framesFlipped: number;
  /** Pages that came second, as pairs of frames: what lies in the first shall be copied to the second. */
  readonly copies: readonly (readonly [from: number, to: number])[];
}

/** Throws `lost` or `state` if pairs cannot be exchanged between the spaces with these page maps. */
export function checkPairs({ sources, targets }: Pairs, a: Int32Array, b: Int32Array): void {
  const owner = new Int32Array(b.length);
  for (let i = 0; i < sources.length; i++) {
    const s = sources[i];
    const d = targets[i];
    // What lies outside has no entry: undefined.
    if (!(a[s] & PAGE_PRESENT) || !(b[d] & PAGE_PRESENT))
      throw new DomainError('lost', 'a page lies outside the memory of its OS instance');
    const claimed = owner[d];
    if (claimed !== 0 && claimed !== s + 1) throw new DomainError('state', 'two pages were to go to the same place');
    owner[d] = s + 1;
  }
}

/** Exchanges what is behind the pages of pairs that {@link checkPairs} has found good. */
export function exchange({ sources, targets }: Pairs, a: Int32Array, b: Int32Array): Exchanged {
  const wentTo = new Int32Array(a.length);
  const copies: [number, number][] = [];
  let framesFlipped = 0;
  for (let i = 0; i < sources.length; i++) {
    const s = sources[i];
    const d = targets[i];
    const before = wentTo[s] - 1;
    if (before === d) continue;
    if (before < 0) {
      const entry = a[s];
      a[s] = mapped(b[d]);
      b[d] = mapped(entry);
      wentTo[s] = d + 1;
      framesFlipped++;
    } else copies.push([b[before] >>> 8, b[d] >>> 8]);
  }
  return { framesFlipped, copies };
}

const mapped = (entry: number): number => (entry & ~0xff) | PAGE_PRESENT | PAGE_WRITABLE;
