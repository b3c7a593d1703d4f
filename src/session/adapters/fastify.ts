/** Sessions for Fastify. */
import type { Visit, VisitOptions } from '../visit.js';
import { openHttpVisit } from './node-http.js';
import type { HttpRequest, HttpResponse } from './node-http.js';
import { PerRequest } from './per-request.js';

/** The part of Fastify's reply that is used: the response of Node under it, to which all of its headers go. */
export interface FastifyReplyLike {
  readonly raw: HttpResponse;
}

/** What `fastifySessions` makes. */
export interface FastifySessions<A, D> {
  /** `app.addHook('onRequest', onRequest)` */
  readonly onRequest: (request: HttpRequest, reply: FastifyReplyLike) => Promise<void>;
  /** The visit of the request a handler is about. */
  of(request: HttpRequest): Visit<A, D>;
}

/**
 * @example
 * const session = fastifySessions({ sessions });
 * app.addHook('onRequest', session.onRequest);
 * app.get('/', async (request) => session.of(request).session?.identity ?? 'who are you?');
 */
export function fastifySessions<A, D>(options: VisitOptions<A, D>): FastifySessions<A, D> {
  const visits = new PerRequest<A, D>();
  return {
    async onRequest(request, reply) {
      if (visits.has(request)) return;
      const { visit, part } = await openHttpVisit(options, request, reply.raw);
      visits.keep(request, visit, part);
    },
    of: (request) => visits.of(request),
  };
}
