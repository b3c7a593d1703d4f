/**
 * What can go wrong with maintenance:
 *
 * | code            | meaning                                                                              |
 * |-----------------|--------------------------------------------------------------------------------------|
 * | `boot-failed`   | an OS instance did not come up; the message quotes its console's last lines          |
 * | `rehearsal-failed` | a small domain could not be moved to the understudy and back                     |
 * | `move-failed`   | a domain could not be moved; it, and all others, go on where they were               |
 * | `lost`          | a domain could not be moved and could not be put back either; the message says why   |
 * | `state`         | the step does not follow on what was done so far                                     |
 */
export type MaintenanceErrorCode = 'boot-failed' | 'rehearsal-failed' | 'move-failed' | 'lost' | 'state';

export class MaintenanceError extends Error {
  override readonly name = 'MaintenanceError';
  constructor(
    readonly code: MaintenanceErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
