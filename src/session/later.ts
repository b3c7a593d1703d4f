/** Answers that come later, where they were not expected. */

/** Whether something will answer later, from whatever realm or library its promise is. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** A promise nobody waits for must not become an unhandled rejection. */
export function abandon(promise: PromiseLike<unknown>): void {
  Promise.resolve(promise).catch(() => undefined);
}
