/**
 * What caches between server and client are told of a response that has to do
 * with a session. Three rules:
 *
 *   the request's session was opened     Vary names the header it came in
 *   your code has looked at it           Cache-Control keeps it out of shared caches, unless you say `public`
 *   the response carries or takes a seal Cache-Control: no-store, whatever you say
 *
 * Vary alone is not enough: many caches in front of servers do not heed it for
 * cookies. Cache-Control alone is not: yours may be `public`, and then the next
 * visitor without a cookie must not get what was made for one who had it.
 */

/** The headers of one response, whatever keeps them. Names in any case. */
export interface HeaderEditor {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  delete(name: string): void;
  names(): Iterable<string>;
}

/** What a response has to do with a session. */
export interface SessionUse {
  /** The header that brings the seal: `cookie`, or one of its own. */
  readonly requestHeader: string;
  /** Whether your code has looked at the session. */
  readonly looked: boolean;
  /** Whether the response carries a seal, or takes one away. */
  readonly carries: boolean;
}

/** `Vary` with one more name (RFC 9110, 12.5.5). */
export function varyBy(present: string | undefined, name: string): string {
  const names = (present ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
  const known = names.some((each) => each === '*' || each.toLowerCase() === name);
  return known ? names.join(', ') : [...names, name === 'cookie' ? 'Cookie' : name].join(', ');
}

/** The directives without arguments: `private="x"` is about the header x only, and no `private`. */
function directives(value: string): Set<string> {
  return new Set(
    value
      .replace(/"[^"]*"/g, '""')
      .toLowerCase()
      .split(',')
      .map((each) => each.trim()),
  );
}

/** `Cache-Control` for a response that your code has made looking at a session. */
export function keepPrivate(present: string | undefined): string {
  if (present === undefined || present.trim() === '') return 'private, no-cache';
  const said = directives(present);
  const decided = ['public', 'private', 'no-store'].some((each) => said.has(each));
  return decided || /(?:^|[,\s])s-maxage\s*=/i.test(present) ? present : `private, ${present}`;
}

/** `Cache-Control` for a response that carries a seal. */
export function keepNowhere(present: string | undefined): string {
  return directives(present ?? '').has('no-transform') ? 'no-store, no-transform' : 'no-store';
}

/** Headers that speak to one cache or another before Cache-Control does (RFC 9213, and older ones). */
const TARGETED = /^(?:.+-)?cdn-cache-control$|^surrogate-control$|^edge-control$|^x-accel-expires$/i;

/** Makes a response's headers say what caches have to know. To say it twice is to say it once. */
export function tellCaches(headers: HeaderEditor, use: SessionUse): void {
  headers.set('Vary', varyBy(headers.get('Vary'), use.requestHeader));
  const present = headers.get('Cache-Control');
  if (use.carries) {
    headers.set('Cache-Control', keepNowhere(present));
    for (const name of [...headers.names()]) if (TARGETED.test(name)) headers.delete(name);
  } else if (use.looked) {
    const value = keepPrivate(present);
    if (value !== present) headers.set('Cache-Control', value);
  }
}
