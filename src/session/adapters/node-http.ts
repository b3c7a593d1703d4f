/** Sessions for node:http, and for whatever builds on its requests and responses. */
import { openVisit, visitOptions } from '../visit.js';
import type { Visit, VisitOptions } from '../visit.js';
import { beforeHead } from './node-head.js';
import type { HttpResponse } from './node-head.js';
import { ResponsePart } from './response-part.js';
import type { AppendableHeaders } from './response-part.js';

export type { HttpResponse } from './node-head.js';
export type { AppendableHeaders, ResponsePart } from './response-part.js';

/** The part of node:http's request (and of HTTP/2's) that is used. */
export interface HttpRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function text(value: number | string | readonly string[] | undefined): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : value.join(', ');
}

/** A response's headers; what is appended twice is there once, even when the head is made a second time. */
function headersOf(response: HttpResponse): AppendableHeaders {
  return {
    get: (name) => text(response.getHeader(name)),
    set: (name, value) => void response.setHeader(name, value),
    delete: (name) => void response.removeHeader(name),
    names: () => response.getHeaderNames(),
    append(name, value) {
      const present = response.getHeader(name);
      const others = present === undefined ? [] : Array.isArray(present) ? present : [String(present)];
      response.setHeader(name, [...others.filter((other) => other !== value), value]);
    },
  };
}

/** Opens a request's session, and leaves its part of the response to be told that the application has looked. */
export async function openHttpVisit<A, D>(
  options: VisitOptions<A, D>,
  request: HttpRequest,
  response: HttpResponse,
): Promise<{ visit: Visit<A, D>; part: ResponsePart }> {
  const { sessions, transport } = visitOptions(options);
  const part = new ResponsePart(transport);
  beforeHead(response, () => part.writeTo(headersOf(response)));
  const visit = await openVisit(sessions, transport, {
    get: (name) => text(request.headers[name]),
    set(_name, value) {
      if (response.headersSent) return false;
      part.value = value;
      return true;
    },
  });
  return { visit, part };
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
): (request: HttpRequest, response: HttpResponse) => Promise<Visit<A, D>> {
  return async (request, response) => {
    const { visit, part } = await openHttpVisit(options, request, response);
    // Whoever opens it by hand does so to look.
    part.looked = true;
    return visit;
  };
}
