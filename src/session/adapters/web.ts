/** Sessions for servers that speak the web's Request and Response: fetch handlers, workers at the edge. */
import type { Json } from '../types.js';
import type { Visit, VisitOptions } from '../visit.js';
import { openVisit, visitOptions } from '../visit.js';

/** A visit that knows how to get into a Response. */
export interface WebVisit<A = Json, D = Json> extends Visit<A, D> {
  /** The response with the session's header, if there is one to send. */
  apply(response: Response): Response;
}

/**
 * @returns a function that opens a request's session
 * @example
 * const visitOf = webSessions({ sessions });
 * export default {
 *   async fetch(request: Request) {
 *     const visit = await visitOf(request);
 *     await (visit.session ? visit.save() : visit.start({ activity: null, data: {} }));
 *     return visit.apply(new Response('hello'));
 *   },
 * };
 */
export function webSessions<A, D>(options: VisitOptions<A, D>): (request: Request) => Promise<WebVisit<A, D>> {
  const { sessions, transport } = visitOptions(options);
  return async (request) => {
    let header: readonly [string, string] | undefined;
    const visit = await openVisit(sessions, transport, {
      get: (name) => request.headers.get(name),
      set: (name, value) => {
        header = [name, value];
      },
    });
    const apply = (response: Response): Response => {
      if (header === undefined) return response;
      try {
        response.headers.append(...header);
        return response;
      } catch {
        // TypeError: a response that came from elsewhere (fetch, a redirect) has headers that cannot be changed.
        const copy = new Response(response.body, response);
        copy.headers.append(...header);
        return copy;
      }
    };
    // The visit's `session` is a getter: a copy of its value would not follow.
    return Object.assign(visit, { apply });
  };
}
