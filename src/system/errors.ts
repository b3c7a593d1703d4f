/**
 * What can go wrong with a computer as a whole:
 *
 * | code            | meaning                                                              |
 * |-----------------|----------------------------------------------------------------------|
 * | `invalid`       | the caller asks for something that has no meaning                    |
 * | `name-taken`    | an OS instance of that name runs already                             |
 * | `closed`        | the computer was closed                                              |
 * | `no-network`    | a network is needed that the computer or the instance does not have  |
 * | `paused`        | somebody holds the OS instance still: `resume` it first              |
 * | `ended`         | the OS instance came to its end while it was waited for              |
 * | `timeout`       | what was waited for did not come in time                             |
 * | `no-port`       | all console ports of the instance are taken                          |
 * | `no-shell`      | the guest offers no shell to start another one from                 |
 * | `no-hands`      | nothing in the guest can be asked for what is wanted: it is no `Carrier` |
 * | `in-use`        | the guest uses what it should give back                              |
 * | `refused`       | the guest did not do what its hands asked it for                     |
 * | `too-much-output` | a command wrote more than can be kept                              |
 * | `not-readable`  | a file that was named cannot be read                                 |
 */
export type SystemErrorCode =
  | 'invalid'
  | 'name-taken'
  | 'closed'
  | 'no-network'
  | 'paused'
  | 'ended'
  | 'timeout'
  | 'no-port'
  | 'no-shell'
  | 'no-hands'
  | 'in-use'
  | 'refused'
  | 'too-much-output'
  | 'not-readable';

/** A boot, or something asked of a guest, cannot be done. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  constructor(
    readonly code: SystemErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
