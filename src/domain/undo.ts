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

  /** The work is done: nothing is to be taken back. */
  forget(): void {
    this.#steps.length = 0;
  }

  /** Takes everything back. Throws `undo-failed` naming every step that could not be. */
  async run(): Promise<void> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.back();
      } catch (e) {
        failures.push(`${step.name}: ${e instanceof Error ? e.message : String(e)}`);
        if (step.essential) {
          const left = this.#steps.splice(0).map((s) => s.name);
          failures.push(`therefore not done: ${left.reverse().join(', ')}`);
          break;
        }
      }
    }
    if (failures.length > 0) throw new DomainError('undo-failed', failures.join('; '));
  }
}
