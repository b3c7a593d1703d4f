/** How a seal travels: in a cookie, or in a header of its own. */
import { cookieWriter, MOST_VALUES, readCookies } from './cookie.js';
import type { CookieOptions } from './cookie.js';
import { SessionError } from './errors.js';
import { COOKIE_SIZE } from './limits.js';

/** One way for a seal to travel. */
export interface Transport {
  /** The header a client sends it in. */
  readonly requestHeader: string;
  /** The header the server sends it in. */
  readonly responseHeader: string;
  /** The seals in the request header's value, the likeliest first. */
  read(value: string): readonly string[];
  /** The response header's value that hands out a seal which the client may forget after `maxAge` seconds. */
  write(seal: string, maxAge: number): string;
  /** The response header's value that takes the seal away. */
  clear(): string;
  /** Bytes by which a response header's value is over what clients keep; 0 or less when it fits. */
  over(value: string): number;
}

/** In a cookie: browsers keep it and send it by themselves. 4,096 bytes with name and attributes. */
export function cookieTransport(options: CookieOptions = {}): Transport {
  const cookie = cookieWriter(options);
  return {
    requestHeader: 'cookie',
    responseHeader: 'set-cookie',
    read: (value) => readCookies(value, cookie.name),
    write: (seal, maxAge) => cookie.write(seal, maxAge),
    clear: () => cookie.write('', 0),
    over: (value) => value.length - COOKIE_SIZE,
  };
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** How a seal travels in a header. */
export interface HeaderOptions {
  /** Default `session`; `authorization` with the scheme `Bearer` is another possibility. */
  readonly name?: string;
  /** A word before the seal. Default: none. */
  readonly scheme?: string;
  /** Default: the same as `name`. An `authorization` header is none for responses. */
  readonly responseName?: string;
  /** Most bytes of the header's value. Default 8,000: what common servers and proxies take. */
  readonly size?: number;
}

/** In a header of requests and responses: for programs, and other protocols with headers. */
export function headerTransport(options: HeaderOptions = {}): Transport {
  const { name = 'session', scheme, responseName = name, size = 8000 } = options;
  for (const token of [name, responseName, scheme ?? name]) {
    if (!TOKEN.test(token)) throw new SessionError('bad-argument', `${JSON.stringify(token)} is not an HTTP token`);
  }
  return {
    requestHeader: name.toLowerCase(),
    responseHeader: responseName.toLowerCase(),
    read: (value) =>
      // A header that came twice arrives as one, with a comma between: no seal has one.
      value
        .split(',', MOST_VALUES)
        .map((part) => withoutScheme(part.trim(), scheme))
        .filter((seal) => seal !== ''),
    write: (seal) => (scheme === undefined ? seal : `${scheme} ${seal}`),
    clear: () => '',
    over: (value) => value.length - size,
  };
}

/** Schemes are the same in any case (RFC 9110, 11.1). */
function withoutScheme(text: string, scheme: string | undefined): string {
  if (scheme === undefined) return text;
  const word = text.slice(0, scheme.length + 1).toLowerCase();
  return word === `${scheme.toLowerCase()} ` ? text.slice(scheme.length + 1).trim() : '';
}
