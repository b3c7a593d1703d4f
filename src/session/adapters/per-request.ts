/** Visits kept beside their requests, typed, with no property of a framework's own objects taken. */
import { SessionError } from '../errors.js';
import type { Visit } from '../visit.js';

/** Remembers each request's visit for as long as the request lives. */
export class PerRequest<A, D> {
  readonly #visits = new WeakMap<object, Visit<A, D>>();

  keep(request: object, visit: Visit<A, D>): void {
    this.#visits.set(request, visit);
  }

  /** @throws SessionError `bad-argument` when the session's middleware has not run for this request */
  of(request: object): Visit<A, D> {
    const visit = this.#visits.get(request);
    if (visit === undefined)
      throw new SessionError('bad-argument', 'no session here: the session middleware has not run for this request');
    return visit;
  }
}
