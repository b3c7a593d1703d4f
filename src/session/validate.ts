/** An opened session's activity and data through your validators. */
import { SessionError } from './errors.js';
import { abandon, isThenable } from './later.js';
import type { SchemaResult, StandardSchema } from './standard-schema.js';
import type { Opened, Session } from './types.js';

/** The validators, if any. */
export interface Validators<A, D> {
  readonly activity?: StandardSchema<A>;
  readonly data?: StandardSchema<D>;
}

/** Without a validator the caller's word for the type is taken: the server itself has sealed the value. */
function run<T>(schema: StandardSchema<T> | undefined, value: unknown): SchemaResult<T> | Promise<SchemaResult<T>> {
  return schema === undefined ? { value: value as T } : schema['~standard'].validate(value);
}

function combine<A, D>(
  session: Session<unknown, unknown>,
  activity: SchemaResult<A>,
  data: SchemaResult<D>,
): Opened<A, D> {
  if (activity.issues !== undefined) return { ok: false, reason: 'invalid-data', issues: activity.issues };
  if (data.issues !== undefined) return { ok: false, reason: 'invalid-data', issues: data.issues };
  return { ok: true, session: { ...session, activity: activity.value, data: data.value } };
}

/** @throws SessionError `async-schema` when a validator answers with a promise */
export function validateSync<A, D>(validators: Validators<A, D>, session: Session<unknown, unknown>): Opened<A, D> {
  if (validators.activity === undefined && validators.data === undefined) {
    return { ok: true, session: session as Session<A, D> };
  }
  const activity = run(validators.activity, session.activity);
  const data = run(validators.data, session.data);
  // Not every promise is of this realm's class.
  if (isThenable(activity) || isThenable(data)) {
    for (const result of [activity, data]) if (isThenable(result)) abandon(result);
    throw new SessionError('async-schema', 'this validator is asynchronous: use createSessions, which waits for it');
  }
  return combine(session, activity, data);
}

/** The same, waiting for validators that take their time. */
export async function validate<A, D>(
  validators: Validators<A, D>,
  session: Session<unknown, unknown>,
): Promise<Opened<A, D>> {
  const [activity, data] = await Promise.all([
    run(validators.activity, session.activity),
    run(validators.data, session.data),
  ]);
  return combine(session, activity, data);
}
