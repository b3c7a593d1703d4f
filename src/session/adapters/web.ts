/** Sessions for servers that speak the web's Request and Response: fetch handlers, workers at the edge, SvelteKit, Astro, Remix. */
import type { Json } from '../types.js';
import type { Visit, VisitOptions } from '../visit.js';
import { openVisit, visitOptions } from '../visit.js';
import { ResponsePart } from './response-part.js';
import { finishResponse } from './web-response.js';

export { cookieStoreSessions } from './cookie-store.js';
export type { CookieAttributes, CookieStore, CookieStoreOptions } from './cookie-store.js';

/** A visit that knows how to get into a Response. */
export interface WebVisit<A = Json, D = Json> extends Visit<A, D> {
  /**
   * The response with the session's header, if there is one to send, and what
   * caches must know. Every response is to go through it, and last: what is
   * saved after it is too late.
   */
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
    const part = new ResponsePart(transport);
    part.looked = true;
    let begun = false;
    const visit = await openVisit(sessions, transport, {
      get: (name) => request.headers.get(name),
      set(_name, value) {
        if (begun) return false;
        part.value = value;
        return true;
      },
    });
    const apply = (response: Response): Response => {
      begun = true;
      return finishResponse(response, part);
    };
    // The visit's `session` is a getter: a copy of its value would not follow.
    return Object.assign(visit, { apply });
  };
}
