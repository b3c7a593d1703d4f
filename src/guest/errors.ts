/**
 * What can be wrong with a guest one is asked to boot, or that runs:
 *
 * | code                  | meaning                                                              |
 * |-----------------------|----------------------------------------------------------------------|
 * | `kernel-image`        | the file is no kernel that can be booted                             |
 * | `command-line`        | the kernel would not read all of its arguments                       |
 * | `too-little-memory`   | the kernel would not come up; `needed` says how many bytes it needs  |
 * | `too-many-devices`    | there are not so many PCI slots, or console ports                    |
 * | `stopped`             | it was stopped while something was asked of it                       |
 * | `hart-failed`         | one of its harts failed                                              |
 * | `memory-not-followed` | it does not work with the memory that it was to have, but with `reached` bytes |
 * | `superseded`          | it was asked for something else meanwhile                            |
 */
export type GuestErrorCode =
  | 'kernel-image'
  | 'command-line'
  | 'too-little-memory'
  | 'too-many-devices'
  | 'stopped'
  | 'hart-failed'
  | 'memory-not-followed'
  | 'superseded';

/** A guest cannot be booted as it was asked for, or does not do what is asked of it. */
export class GuestError extends Error {
  override readonly name = 'GuestError';
  /** With `too-little-memory`: bytes that would be enough. */
  readonly needed: number | undefined;
  /** Where its memory was to change: bytes that its kernel works with. */
  readonly reached: number | undefined;
  constructor(
    readonly code: GuestErrorCode,
    message: string,
    { needed, reached, ...options }: ErrorOptions & { readonly needed?: number; readonly reached?: number } = {},
  ) {
    super(message, options);
    this.needed = needed;
    this.reached = reached;
  }
}
