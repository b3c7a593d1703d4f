/**
 * What can go wrong in the bench:
 *
 * | code       | meaning                                                             |
 * |------------|---------------------------------------------------------------------|
 * | `missing`  | something a machine needs is not to be had: it is reported as missing |
 * | `died`     | a machine ended or fell silent                                        |
 * | `program`  | a program failed inside a machine                                     |
 * | `disagree` | two machines computed different results                               |
 * | `usage`    | the command line                                                      |
 */
export type BenchErrorCode = 'missing' | 'died' | 'program' | 'disagree' | 'usage';

export class BenchError extends Error {
  override readonly name = 'BenchError';
  constructor(
    readonly code: BenchErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
