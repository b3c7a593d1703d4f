/** Sessions for Fastify. */
import type { Visit, VisitOptions } from '../visit.js';
import { openVisit, visitOptions } from '../visit.js';
import { headerSetter } from './node-http.js';
import { PerRequest } from './per-request.js';

/** The part of Fastify's request that is used. */
export interface FastifyRequestLike {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** The part of Fastify's reply that is used. */
export interface FastifyReplyLike {
  getHeader(name: string): number | string | string[] | undefined;
  removeHeader(name: string): unknown;
  header(name: string, value: unknown): unknown;
}

/** What `fastifySessions` makes. */
export interface FastifySessions<A, D> {
  /** `app.addHook('onRequest', onRequest)` */
  readonly onRequest: (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<void>;
  /** The visit of the request a handler is about. */
  of(request: FastifyRequestLike): Visit<A, D>;
}

/**
 * @example
 * const session = fastifySessions({ sessions });
 * app.addHook('onRequest', session.onRequest);
 * app.get('/', async (request) => session.of(request).session?.identity ?? 'who are you?');
 */
export function fastifySessions<A, D>(options: VisitOptions<A, D>): FastifySessions<A, D> {
  const { sessions, transport } = visitOptions(options);
  const visits = new PerRequest<A, D>();
  return {
    async onRequest(request, reply) {
      const set = headerSetter({
        getHeader: (name) => reply.getHeader(name),
        // Fastify adds to a set-cookie that is there: it has to go before all of them are set.
        setHeader(name, value) {
          reply.removeHeader(name);
          reply.header(name, value);
          return this as never;
        },
      });
      const visit = await openVisit(sessions, transport, {
        get(name) {
          const value = request.headers[name];
          return Array.isArray(value) ? value.join(', ') : value;
        },
        set,
      });
      visits.keep(request, visit);
    },
    of: (request) => visits.of(request),
  };
}
