import { DomainError } from '../domain/errors.js';

/**
 * What can go wrong with maintenance:
 *
 * | code            | meaning                                                                              |
 * |-----------------|--------------------------------------------------------------------------------------|
 * | `boot-failed`   | an OS instance did not come up; the message quotes its console's last lines, or says how to get some         |
 * | `rehearsal-failed` | a small domain could not be moved to the understudy and back                     |
 * | `move-failed`   | a domain could not be moved; it, and all others, go on where they were               |
 * | `split`         | a domain could not be moved, and of those that had been, some could not be brought back: all go on, `Maintenance.domains` says where |
 * | `lost`          | a domain goes on nowhere: it could not be put back, or its OS instance ended; `lost` names it |
 * | `paused`        | an OS instance that has to work for the step is held paused: `resume` it first         |
 * | `state`         | the step does not follow on what was done so far                                     |
 */
export type MaintenanceErrorCode =
  'boot-failed' | 'rehearsal-failed' | 'move-failed' | 'split' | 'lost' | 'paused' | 'state';

/** A step of maintenance that could not be taken; the code says in which state things are. */
export class MaintenanceError extends Error {
  override readonly name = 'MaintenanceError';
  constructor(
    readonly code: MaintenanceErrorCode,
    message: string,
    options?: ErrorOptions,
    /** With `lost`: names of the domains that go on nowhere. */
    readonly lost: readonly string[] = [],
  ) {
    super(message, options);
  }
}

/** Whether a domain whose move failed with this goes on where it was. */
export function goesOn(error: unknown): boolean {
  return !(error instanceof DomainError && (error.code === 'ended' || error.code === 'undo-failed'));
}
