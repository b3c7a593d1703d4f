/** Something that a move could not tidy. The move is done all the same. */
export interface Untidied {
  /** What was to be done. */
  readonly what: string;
  /** Why it could not. */
  readonly why: string;
}

/** What a thrown value says. */
export const reasonOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/**
 * What is to be done once a move cannot be taken back any more. Each piece is tried whatever became of the others, and
 * none of them can make the move fail: what goes wrong is noted.
 */
export class Tidying {
  readonly untidied: Untidied[] = [];

  /** Never fails. */
  async do(what: string, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (e) {
      this.note(what, e);
    }
  }

  note(what: string, thrown: unknown): void {
    this.untidied.push({ what, why: reasonOf(thrown) });
  }
}
