/** Sessions for Express, and for other frameworks of `(request, response, next)`. */
import type { Visit, VisitOptions } from '../visit.js';
import { openHttpVisit } from './node-http.js';
import type { HttpRequest, HttpResponse } from './node-http.js';
import { PerRequest } from './per-request.js';

/** What `expressSessions` makes. */
export interface ExpressSessions<A, D> {
  /** `app.use(middleware)` */
  readonly middleware: (request: HttpRequest, response: HttpResponse, next: (error?: unknown) => void) => void;
  /** The visit of the request a handler is about. */
  of(request: HttpRequest): Visit<A, D>;
}

/**
 * @example
 * const session = expressSessions({ sessions });
 * app.use(session.middleware);
 * app.get('/', async (request, response) => {
 *   const visit = session.of(request);
 *   response.send(visit.session === undefined ? 'who are you?' : 'hello again');
 * });
 */
export function expressSessions<A, D>(options: VisitOptions<A, D>): ExpressSessions<A, D> {
  const visits = new PerRequest<A, D>();
  return {
    middleware(request, response, next) {
      if (visits.has(request)) {
        next();
        return;
      }
      openHttpVisit(options, request, response).then(
        ({ visit, part }) => {
          visits.keep(request, visit, part);
          next();
        },
        (error: unknown) => next(error),
      );
    },
    of: (request) => visits.of(request),
  };
}
