/**
 * What can go wrong while an image is prepared:
 *
 * | code           | meaning                                                                    |
 * |----------------|----------------------------------------------------------------------------|
 * | `unsupported`  | this machine has no apt or no Debian mirror: bring `--kernel`, `--initrd`   |
 * | `network`      | the mirror cannot be reached, or what it has does not verify               |
 * | `not-found`    | a package, program, library or module that the profile names does not exist |
 * | `disk-full`    | the cache's disk is full                                                   |
 * | `corrupt`      | a file is not what its format or its checksum says                         |
 * | `build`        | packages of a tree could not be installed: the guest's own words are quoted |
 * | `aborted`      | the caller's signal                                                        |
 * | `command`      | a command of the host failed for a reason of its own                       |
 * | `invalid`      | the caller asks for something that has no meaning                          |
 */
export type ImageErrorCode =
  'unsupported' | 'network' | 'not-found' | 'disk-full' | 'corrupt' | 'build' | 'aborted' | 'command' | 'invalid';

/** The one error of this area. The message says what is wrong, where, and what to do. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  constructor(
    readonly code: ImageErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
