/**
 * What can go wrong with a process domain.
 *
 * - `unsupported`: the domain uses something that cannot be moved yet; `resource` names it. Nothing was changed.
 * - `changed`: the domain changed while it was being prepared, more often than it was worth following.
 * - `lost`: a process of the domain, or the other OS instance, went away meanwhile.
 * - `guest`: a system call that had to succeed failed in the guest; `errno` says why.
 * - `mismatch`: the two OS instances differ in what the domain needs (a file, its contents).
 * - `state`: the operation does not fit the domain's present state.
 * - `ended`: the domain is no more: the OS instance that it was in ended.
 * - `undo-failed`: after a failure not everything could be put back; the message says what is left.
 */
export type DomainErrorCode =
  'unsupported' | 'changed' | 'lost' | 'guest' | 'mismatch' | 'state' | 'ended' | 'undo-failed';

/** A process domain cannot be started, frozen, moved or ended. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly errno: number;
  readonly resource: string | undefined;
  /** True for a refusal of what may be over in a moment: it is worth to ask again. */
  readonly passing: boolean;

  constructor(
    readonly code: DomainErrorCode,
    message: string,
    detail: { errno?: number; resource?: string; passing?: boolean; cause?: unknown } = {},
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.errno = detail.errno ?? 0;
    this.resource = detail.resource;
    this.passing = detail.passing ?? false;
  }
}

/** The refusal of a resource, by name. */
export function unsupported(resource: string, where: string): DomainError {
  return new DomainError('unsupported', `${where} uses ${resource}, which cannot be moved`, { resource });
}

/** As {@link unsupported}, for what a program does not have for long, such as a connection that is being made. */
export function unsupportedNow(resource: string, where: string): DomainError {
  return new DomainError('unsupported', `${where} uses ${resource}, which cannot be moved`, {
    resource,
    passing: true,
  });
}
