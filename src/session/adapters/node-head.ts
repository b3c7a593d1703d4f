/**
 * The moment in which a response of node:http sends its head. Whoever has
 * something to say in it says it then: the application may set the same headers
 * later than we do, or give them to `writeHead`, which replaces what was set.
 */

/** The part of node:http's response (and of HTTP/2's) that is used. */
export interface HttpResponse {
  readonly headersSent: boolean;
  getHeader(name: string): number | string | string[] | undefined;
  setHeader(name: string, value: string | readonly string[]): unknown;
  removeHeader(name: string): unknown;
  getHeaderNames(): string[];
  writeHead: (status: number, ...rest: never[]) => unknown;
}

type HeaderValue = number | string | readonly string[];

/** The headers given to `writeHead`: an object, a list of pairs, or names and values by turns. */
function given(headers: unknown): Map<string, HeaderValue> {
  const found = new Map<string, HeaderValue>();
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers as Record<string, HeaderValue>)) found.set(name, value);
    return found;
  }
  const pairs = Array.isArray(headers[0]) ? (headers as [string, HeaderValue][]) : byTurns(headers as HeaderValue[]);
  for (const [name, value] of pairs) {
    const before = found.get(name);
    found.set(name, before === undefined ? value : [before, value].flat().map(String));
  }
  return found;
}

function byTurns(list: readonly HeaderValue[]): [string, HeaderValue][] {
  return Array.from({ length: list.length >> 1 }, (_, i) => [String(list[2 * i]), list[2 * i + 1]]);
}

/** Calls `edit` when the response's headers are complete and none is sent. */
export function beforeHead(response: HttpResponse, edit: () => void): void {
  const writeHead = response.writeHead as (this: HttpResponse, status: number, message?: string) => unknown;
  response.writeHead = (status: number, ...rest: unknown[]) => {
    // A second head is node:http's to refuse.
    if (!response.headersSent) {
      const headers = typeof rest[0] === 'string' ? rest[1] : (rest[1] ?? rest[0]);
      if (headers !== undefined && headers !== null) {
        for (const [name, value] of given(headers)) response.setHeader(name, value as string);
      }
      edit();
    }
    return typeof rest[0] === 'string' ? writeHead.call(response, status, rest[0]) : writeHead.call(response, status);
  };
}
