/**
 * What can be wrong with a guest one is asked to boot:
 *
 * | code                | meaning                                                              |
 * |---------------------|----------------------------------------------------------------------|
 * | `kernel-image`      | the file is no kernel that can be booted                             |
 * | `command-line`      | the kernel would not read all of its arguments                       |
 * | `too-little-memory` | the kernel would not come up; `needed` says how many bytes it needs  |
 * | `too-many-devices`  | there are not so many PCI slots, or console ports                    |
 * | `stopped`           | it was stopped while something was asked of it                       |
 * | `hart-failed`       | one of its harts failed                                              |
 */
export type GuestErrorCode =
  'kernel-image' | 'command-line' | 'too-little-memory' | 'too-many-devices' | 'stopped' | 'hart-failed';

export class GuestError extends Error {
  override readonly name = 'GuestError';
  /** With `too-little-memory`: bytes that would be enough. */
  readonly needed: number | undefined;
  constructor(
    readonly code: GuestErrorCode,
    message: string,
    { needed, ...options }: ErrorOptions & { readonly needed?: number } = {},
  ) {
    super(message, options);
    this.needed = needed;
  }
}
