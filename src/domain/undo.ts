import { DomainError } from './errors.js';

/**
 * What must be taken back if a piece of work fails half-way, newest first. Every step is tried even when
 * one before it failed, so that as much as possible is put back.
 */
export class Undo {
  readonly #steps: { readonly name: string; readonly back: () => Promise<void>; readonly essential: boolean }[] = [];

  /** `essential`: what follows would do harm if this one failed; then it is not done. */
  add(name: string, back: () => Promise<void>, essential = false): void {
    this.#steps.push({ name, back, essential });
  }

  /** As {@link add}, for what is to be taken back when all else is, however early it is added. */
  addLast(name: string, back: () => Promise<void>): void {
    this.#steps.unshift({ name, back, essential: false });
  }

  /** How many steps there are: to take back later only what is added from now on. */
  get depth(): number {
    return this.#steps.length;
  }

  /** The work is done: nothing is to be taken back. */
  forget(): void {
    this.#steps.length = 0;
  }

  /** Takes everything back, or all but the first `left` steps. Throws `undo-failed` naming every step that could not be. */
  async run(left = 0): Promise<void> {
    const failures: string[] = [];
    while (this.#steps.length > left) {
      const step = this.#steps.pop();
      if (step === undefined) break;
      try {
        await step.back();
      } catch (e) {
        failures.push(`${step.name}: ${e instanceof Error ? e.message : String(e)}`);
        if (step.essential) {
          const undone = this.#steps.splice(0).map((s) => s.name);
          failures.push(`therefore not done: ${undone.reverse().join(', ')}`);
          break;
        }
      }
    }
    if (failures.length > 0) throw new DomainError('undo-failed', failures.join('; '));
  }
}
