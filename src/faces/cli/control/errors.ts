/**
 * What goes wrong between `understudy io` and a machine that runs in another terminal:
 *
 * | code          | meaning                                                                          |
 * |---------------|----------------------------------------------------------------------------------|
 * | `no-machine`  | no machine of that name runs, or none at all                                     |
 * | `which`       | several run, and none was named                                                  |
 * | `name-taken`  | a machine of that name runs already                                              |
 * | `folder`      | the folder of the sockets cannot be used, or is not this user's alone            |
 * | `invalid`     | a request, or an answer, that is none of this protocol                           |
 * | `no-guest`    | the machine has no guest at the moment: it boots, or has ended                   |
 * | `no-room`     | the machine has no memory or no hart for a second guest                          |
 * | `no-domains`  | the machine does not carry process domains                                       |
 * | `no-domain`   | it has no domain of that name                                                    |
 * | `exists`      | a disk was to move to a file that has something in it                            |
 * | `too-slow`    | who asked does not read what it asked for                                        |
 * | `gone`        | the machine ended before it answered                                             |
 *
 * An answer may also carry the code of what the library threw (`busy`, `mode`, `in-use` …).
 */
export type ControlErrorCode =
  | 'no-machine'
  | 'which'
  | 'name-taken'
  | 'folder'
  | 'invalid'
  | 'no-guest'
  | 'no-room'
  | 'no-domains'
  | 'no-domain'
  | 'exists'
  | 'too-slow'
  | 'gone';

export class ControlError extends Error {
  override readonly name = 'ControlError';
  constructor(
    readonly code: ControlErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a machine answered with, with whatever code. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
