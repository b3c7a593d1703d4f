/**
 * What can go wrong between the host and the hands. A system call that fails in the guest is not
 * such a thing: its `-errno` is a value.
 *
 * - `batch-too-large`: more calls or bytes than the mailbox holds; split the batch.
 * - `gone`: the hands or their OS instance are no more; nothing posted later is run.
 * - `timeout`: the hands did not answer in time. What they were asked may still be done.
 * - `call-failed`: a call whose success was demanded failed; `errno` says why.
 * - `misuse`: the caller broke a rule of the interface.
 */
export type HandsErrorCode = 'batch-too-large' | 'gone' | 'timeout' | 'call-failed' | 'misuse';

export class HandsError extends Error {
  override readonly name = 'HandsError';
  constructor(
    readonly code: HandsErrorCode,
    message: string,
    /** The guest's errno (positive) when a system call failed. */
    readonly errno: number = 0,
    /** With `gone` and `timeout`: whether calls that were asked for may have been made. */
    readonly begun: boolean = false,
  ) {
    super(message);
  }
}
