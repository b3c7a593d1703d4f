import type { ForesightContext, SavedShare } from '../kinds/kind.js';
import { domainKinds, kindNamed } from '../kinds/registry.js';
import { together } from '../together.js';

/** What must be in the destination before anybody is born there, by the names of the kinds. Throws `unsupported`. */
export async function foreseeShares(context: ForesightContext): Promise<Map<string, unknown>> {
  const kinds = domainKinds.filter((kind) => kind.foresee !== undefined);
  const all = await together(kinds.map((kind) => kind.foresee?.(context)));
  return new Map(kinds.map((kind, i) => [kind.name, all[i]]));
}

/** Whether a file comes along, with all that it holds, on a file system of the domain's own. */
export function broughtBy(foreseen: ReadonlyMap<string, unknown>): (path: string) => boolean {
  const kinds = domainKinds.filter((kind) => kind.brings !== undefined && foreseen.has(kind.name));
  return (path) => kinds.some((kind) => kind.brings?.(foreseen.get(kind.name), path));
}

/**
 * What is to be prepared anew for what is shared now: as it was foreseen where that can become what it is now, for
 * checkpoints do not repeat what was known.
 */
export function stillForeseen(
  foreseen: ReadonlyMap<string, unknown>,
  shares: readonly SavedShare[],
): Map<string, unknown> {
  const known = shares.filter((s) => foreseen.has(s.kind));
  return new Map(
    known.map(({ kind: name, data }) => {
      const before = foreseen.get(name);
      return [name, (kindNamed(domainKinds, name).fits?.(before, data) ?? true) ? before : data];
    }),
  );
}
