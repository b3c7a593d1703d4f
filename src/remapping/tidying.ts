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

  /** Never fails. `tries`: how often it is tried, where it can be repeated. */
  async do(what: string, work: () => unknown, tries = 1): Promise<void> {
    for (let left = tries - 1; ; left--) {
      try {
        await work();
        return;
      } catch (e) {
        if (left > 0) continue;
        this.note(what, e);
        return;
      }
    }
  }

  note(what: string, thrown: unknown): void {
    this.untidied.push({ what, why: reasonOf(thrown) });
  }
}
