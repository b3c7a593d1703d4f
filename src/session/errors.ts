/** What can go wrong on the host's side. What a client sends never throws: it comes back as a `Refusal`. */
export type SessionErrorCode =
  /** An option, a state or an argument is outside what the type promises. */
  | 'bad-argument'
  /** A key ring's text is not one, or contradicts itself. */
  | 'bad-ring'
  /** No key of the ring may seal now: create or rotate one. */
  | 'no-active-key'
  /** No such key in the ring. */
  | 'no-such-key'
  /** The key ring's file can be read or written by others. */
  | 'unsafe-file'
  /** The key ring's file could not be read, written or locked. */
  | 'file'
  /** The high-water mark's store did not answer: nothing was accepted. */
  | 'high-water'
  /** A validator answered with a promise where the synchronous sessions cannot wait. */
  | 'async-schema'
  /** A store of marks, or a back end, answered with a promise where the synchronous sessions cannot wait. */
  | 'async-store';

/** The one error class of sealed sessions; `code` tells the case, the message what to do. */
export class SessionError extends Error {
  override readonly name = 'SessionError';

  constructor(
    readonly code: SessionErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
