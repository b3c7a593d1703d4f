/** Visits kept beside their requests, typed, with no property of a framework's own objects taken. */
import { SessionError } from '../errors.js';
import type { Visit } from '../visit.js';
import type { ResponsePart } from './response-part.js';

/** Remembers each request's visit for as long as the request lives. */
export class PerRequest<A, D> {
  readonly #visits = new WeakMap<object, { readonly visit: Visit<A, D>; readonly part: ResponsePart }>();

  keep(request: object, visit: Visit<A, D>, part: ResponsePart): void {
    this.#visits.set(request, { visit, part });
  }

  /** Whether the middleware has run for this request already: mounted twice, it must not make two cookies. */
  has(request: object): boolean {
    return this.#visits.has(request);
  }

  /**
   * The visit, for the application: it counts as having looked at it.
   *
   * @throws SessionError `bad-argument` when the session's middleware has not run for this request
   */
  of(request: object): Visit<A, D> {
    const kept = this.#visits.get(request);
    if (kept === undefined)
      throw new SessionError('bad-argument', 'no session here: the session middleware has not run for this request');
    kept.part.looked = true;
    return kept.visit;
  }
}
