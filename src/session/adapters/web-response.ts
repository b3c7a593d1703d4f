/** Headers of the web's Response, which cannot always be changed. */
import { SessionError } from '../errors.js';
import type { AppendableHeaders, ResponsePart } from './response-part.js';

function headersOf(headers: Headers): AppendableHeaders {
  return {
    get: (name) => headers.get(name) ?? undefined,
    set: (name, value) => headers.set(name, value),
    delete: (name) => headers.delete(name),
    names: () => headers.keys(),
    append: (name, value) => headers.append(name, value),
  };
}

/**
 * Writes a visit's part into a response.
 *
 * @returns the response, or a copy where its headers cannot be changed: as it comes from `fetch` or a redirect
 */
export function finishResponse(response: Response, part: ResponsePart): Response {
  try {
    part.writeTo(headersOf(response.headers));
    return response;
  } catch (error) {
    // The first change of such headers throws, and so none was made.
    if (!(error instanceof TypeError)) throw error;
  }
  // Response.error() and an upgrade cannot be copied. No cache keeps them, but they carry no seal either.
  if (response.status < 200) {
    if (part.value === undefined) return response;
    throw new SessionError('bad-argument', `a response of status ${response.status} cannot carry a session's header`);
  }
  const copy = new Response(response.body, response);
  part.writeTo(headersOf(copy.headers));
  return copy;
}
