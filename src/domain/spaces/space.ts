import type { ForesightContext, RestoreContext } from '../kinds/kind.js';

/** A namespace that the domain has beside those that it was made with. Plain data. */
export interface Space {
  /** As `/proc/PID/ns` shows it, such as `uts:[4026532279]`: another one after a move. */
  readonly link: string;
  /** A descriptor of the source's hands for it. */
  readonly held: number;
  /** What it holds, as its sort tells it. */
  readonly data: unknown;
}

/** A sort of namespaces of which a domain may have more than one. */
export interface SpaceSort {
  /** As `/proc/PID/ns` has it. */
  readonly name: string;
  /** `CLONE_NEW…`. */
  readonly flag: number;
  /** Another kind makes it, and notes it by its key. */
  readonly madeElsewhere?: boolean;
  /** Makes one, where it is not enough that the hands leave their own; answers a descriptor of the hands. */
  readonly make?: (context: RestoreContext) => Promise<number>;
  /** Whether one that was given the one can be given the other. */
  fits(before: unknown, now: unknown): boolean;
  /** What a namespace holds; plain data. `at`: a path of the hands that leads to it; `known`: an earlier look. Throws `unsupported`. */
  look(context: ForesightContext, at: string, known?: unknown): Promise<unknown>;
  /** Gives a namespace that is as it was made, or has what was seen `before`, what it holds. */
  give(context: RestoreContext, at: string, data: unknown, before?: unknown): Promise<void>;
}

/** Makes a sort of a typed pair of functions. `S` is plain data. */
export function spaceSort<S>(definition: {
  name: string;
  flag: number;
  madeElsewhere?: boolean;
  make?: (context: RestoreContext) => Promise<number>;
  fits?: (before: S, now: S) => boolean;
  look: (context: ForesightContext, at: string, known?: S) => Promise<S>;
  give: (context: RestoreContext, at: string, data: S, before?: S) => Promise<void>;
}): SpaceSort {
  const { look, give, fits } = definition;
  return {
    ...definition,
    fits: (before, now) => fits?.(before as S, now as S) ?? true,
    look: (context, at, known) => look(context, at, known as S | undefined),
    give: (context, at, data, before) => give(context, at, data as S, before as S | undefined),
  };
}

/** Where `objectFds` has a namespace of the destination, by what it is in the source. */
export const spaceKey = (link: string): string => `namespace ${link}`;

/** What sort a namespace is of, by its link. */
export const sortOf = (link: string): string => link.slice(0, link.indexOf(':'));
