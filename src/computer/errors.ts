/** What can go wrong with the hardware: a host's mistake or a host's limit, never a guest's doing. */
export class ComputerError extends Error {
  override readonly name = 'ComputerError';
  constructor(
    readonly code: 'memory' | 'no-frames' | 'no-hart' | 'too-large' | 'hart-failed' | 'released',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
