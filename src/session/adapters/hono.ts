/** Sessions for Hono, on any of the runtimes it runs on. */
import type { Visit, VisitOptions } from '../visit.js';
import { openVisit, visitOptions } from '../visit.js';
import { PerRequest } from './per-request.js';

/** The part of Hono's context that is used. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
  /** Sets a header of the response to come. */
  header(name: string, value: string, options?: { append?: boolean }): void;
  /** The response, once there is one. */
  res: Response;
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
      let header: readonly [string, string] | undefined;
      const visit = await openVisit(sessions, transport, {
        get: (name) => context.req.raw.headers.get(name),
        set: (name, value) => {
          header = [name, value];
        },
      });
      visits.keep(context.req.raw, visit);
      await next();
      // Once, when all is decided: appending twice would send two cookies.
      if (header !== undefined) context.header(...header, { append: true });
    },
    of: (context) => visits.of(context.req.raw),
  };
}
