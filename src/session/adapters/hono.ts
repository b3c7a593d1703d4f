/** Sessions for Hono, on any of the runtimes it runs on. */
import type { Visit, VisitOptions } from '../visit.js';
import { openVisit, visitOptions } from '../visit.js';
import { PerRequest } from './per-request.js';
import { ResponsePart } from './response-part.js';
import { finishResponse } from './web-response.js';

/** The part of Hono's context that is used. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
  /** The response, once there is one. */
  get res(): Response;
  set res(response: Response | undefined);
}

/** What `honoSessions` makes. */
export interface HonoSessions<A, D> {
  /** `app.use(middleware)` */
  readonly middleware: (context: HonoContext, next: () => Promise<void>) => Promise<void>;
  /** The visit of the request a handler is about. */
  of(context: HonoContext): Visit<A, D>;
}

/**
 * @example
 * const session = honoSessions({ sessions });
 * app.use(session.middleware);
 * app.get('/', async (c) => {
 *   const visit = session.of(c);
 *   return c.text(visit.session === undefined ? 'who are you?' : 'hello again');
 * });
 */
export function honoSessions<A, D>(options: VisitOptions<A, D>): HonoSessions<A, D> {
  const { sessions, transport } = visitOptions(options);
  const visits = new PerRequest<A, D>();
  return {
    async middleware(context, next) {
      const request = context.req.raw;
      if (visits.has(request)) return next();
      const part = new ResponsePart(transport);
      let begun = false;
      const visit = await openVisit(sessions, transport, {
        get: (name) => request.headers.get(name),
        set(_name, value) {
          if (begun) return false;
          part.value = value;
          return true;
        },
      });
      visits.keep(request, visit, part);
      await next();
      // Once, when all is decided. A stream that the handler has begun goes on, but its head is made here.
      begun = true;
      const response = context.res;
      const finished = finishResponse(response, part);
      if (finished === response) return;
      // Hono would merge the headers of the one before into the next.
      context.res = undefined;
      context.res = finished;
    },
    of: (context) => visits.of(context.req.raw),
  };
}
