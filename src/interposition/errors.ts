/**
 * Why a device is not given to the monitor, or back:
 *
 * | code      | meaning                                                                               |
 * |-----------|---------------------------------------------------------------------------------------|
 * | `busy`    | what goes on between the device and its driver was not over in time                   |
 * | `mode`    | the device is nobody's, is interposed already, or is not                              |
 * | `in-use`  | somebody uses the device through the monitor: it cannot step away                     |
 * | `state`   | the state that was to be handed over is none that this device can have                |
 * | `invalid` | an option that cannot be                                                              |
 * | `no-room` | the monitor has no memory left for one more driver                                    |
 * | `closed`  | the device, its OS instance or the computer is gone                                   |
 *
 * Nothing has changed then: who drove the device drives it on.
 */
export type InterpositionErrorCode = 'busy' | 'mode' | 'in-use' | 'state' | 'invalid' | 'no-room' | 'closed';

/** The monitor does not step in, or does not step away. */
export class InterpositionError extends Error {
  override readonly name = 'InterpositionError';
  constructor(
    readonly code: InterpositionErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
