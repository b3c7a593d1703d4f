/** Sessions for node:http, and for whatever builds on its requests and responses. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Visit, VisitOptions } from '../visit.js';
import { openVisit, visitOptions } from '../visit.js';

type Headers = Pick<ServerResponse, 'getHeader' | 'setHeader'>;

/**
 * Sets the session's header beside what others have set under that name, and
 * replaces what was set the last time.
 */
export function headerSetter(response: Headers): (name: string, value: string) => void {
  let last: string | undefined;
  return (name, value) => {
    const present = response.getHeader(name);
    const values = present === undefined ? [] : Array.isArray(present) ? present : [String(present)];
    const others = values.filter((other) => other !== last);
    last = value;
    response.setHeader(name, others.length === 0 ? value : [...others, value]);
  };
}

/**
 * @returns a function that opens a request's session; save before the headers are sent
 * @example
 * const visitOf = httpSessions({ sessions });
 * createServer(async (request, response) => {
 *   const visit = await visitOf(request, response);
 *   await (visit.session ? visit.save() : visit.start({ activity: null, data: {} }));
 *   response.end('hello');
 * });
 */
export function httpSessions<A, D>(
  options: VisitOptions<A, D>,
): (request: Pick<IncomingMessage, 'headers'>, response: Headers) => Promise<Visit<A, D>> {
  const { sessions, transport } = visitOptions(options);
  return (request, response) =>
    openVisit(sessions, transport, {
      get(name) {
        const value = request.headers[name];
        return Array.isArray(value) ? value.join(', ') : value;
      },
      set: headerSetter(response),
    });
}
