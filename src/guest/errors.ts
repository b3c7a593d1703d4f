/** What can be wrong with a guest one is asked to boot. */
export class GuestError extends Error {
  override readonly name = 'GuestError';
  constructor(
    readonly code: 'kernel-image' | 'too-little-memory' | 'stopped' | 'hart-failed',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
