/**
 * The books of a computer's frames: who has each of them. Nobody keeps them beside the work; they are made out of what
 * everybody knows of its own, so that they can be compared.
 *
 *     0 … first       words about frames           VMM
 *     first … there   free, or of exactly one      VMM, monitor, harts, or a partition
 *     there … end     not added to the computer    nobody
 */
import type { Partition } from './partition.js';
import type { Vmm } from './vmm.js';

/** Owners that every computer has; partitions come behind them. */
export const FREE = 0;
export const NOT_THERE = 1;
export const VMM = 2;
export const MONITOR = 3;
export const HARTS = 4;
const FIRST_PARTITION = 5;
/** Somebody has taken it, and nobody knows of it. */
const LEAKED = 255;

/** Who has which frame. */
export interface Books {
  /** An owner for each frame: one of those above, or of `partitions`. */
  readonly owners: Uint8Array;
  /** In the order of their numbers, the first of which is {@link FIRST_PARTITION}. */
  readonly partitions: readonly Partition[];
  /** What cannot be, in words; of many alike the first. While harts run, a frame that one is just taking may be among them. */
  readonly problems: readonly string[];
}

export const ownerOf = (partition: number): number => FIRST_PARTITION + partition;

export function makeBooks(vmm: Vmm): Books {
  const { frames } = vmm.machine;
  const owners = new Uint8Array(frames.end);
  const problems = new Map<string, string>();
  const problem = (kind: string, text: string): void => {
    if (!problems.has(kind)) problems.set(kind, text);
  };
  owners.fill(VMM, 0, frames.first);
  owners.fill(NOT_THERE, frames.there);
  for (let frame = frames.first; frame < frames.there; frame++) owners[frame] = frames.isFree(frame) ? FREE : LEAKED;
  const has =
    (owner: number) =>
    (frame: number): void => {
      const known = owners[frame] as number | undefined;
      if (known === LEAKED) owners[frame] = owner;
      else if (known === FREE) problem(`free ${owner}`, `frame ${frame} is free, and ${owner} has it`);
      else problem(`twice ${owner}`, `frame ${frame} is ${known ?? 'nowhere'}'s, and ${owner} has it too`);
    };
  for (const { what, first, count } of vmm.own) {
    const name = has(what === 'monitor' ? MONITOR : HARTS);
    for (let frame = first; frame < first + count; frame++) name(frame);
  }
  const partitions = [...vmm.partitions].slice(0, LEAKED - FIRST_PARTITION);
  partitions.forEach((partition, n) => partition.eachFrame(has(ownerOf(n))));
  const leaked = owners.indexOf(LEAKED, frames.first);
  if (leaked >= 0) problem('leaked', `frame ${leaked} is nobody's, and not free`);
  return { owners, partitions, problems: [...problems.values()] };
}

/** Lengths of runs of frames that have the same owner: owner, length, owner, length … */
export function runsOf(owners: Uint8Array): Int32Array {
  const runs: number[] = [];
  for (let at = 0; at < owners.length;) {
    const owner = owners[at];
    let end = at + 1;
    while (end < owners.length && owners[end] === owner) end++;
    runs.push(owner, end - at);
    at = end;
  }
  return Int32Array.from(runs);
}

/** How many frames each owner has. */
export function countsOf(owners: Uint8Array): Int32Array {
  const counts = new Int32Array(256);
  for (let at = 0; at < owners.length; at++) counts[owners[at]]++;
  return counts;
}
