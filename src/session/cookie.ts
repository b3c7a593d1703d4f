/** Cookies, as far as sessions need them (RFC 6265). */
import { SessionError } from './errors.js';

/** How a session's cookie is set. The defaults are the safe ones. */
export interface CookieOptions {
  /** Default `session`. With the prefix `__Host-` browsers insist on Secure, Path=/ and no Domain. */
  readonly name?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default: only the host that set it. */
  readonly domain?: string;
  /** Only over TLS. Default true. */
  readonly secure?: boolean;
  /** Out of reach of scripts. Default true. */
  readonly httpOnly?: boolean;
  /** Default `Lax`. */
  readonly sameSite?: 'Strict' | 'Lax' | 'None';
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]*$/;

/** Checked options, with everything that does not change already written. */
export interface CookieWriter {
  readonly name: string;
  /**
   * A Set-Cookie header.
   *
   * @param maxAge - seconds the client is to keep it; 0 takes it away
   */
  write(value: string, maxAge: number): string;
}

/** @throws SessionError `bad-argument` for what would not be one cookie */
export function cookieWriter(options: CookieOptions = {}): CookieWriter {
  const { name = 'session', path = '/', domain, secure = true, httpOnly = true, sameSite = 'Lax' } = options;
  if (!TOKEN.test(name))
    throw new SessionError('bad-argument', `cookie name ${JSON.stringify(name)}: not an HTTP token`);
  for (const attribute of [path, domain ?? '']) {
    if (!ATTRIBUTE.test(attribute))
      throw new SessionError('bad-argument', `cookie attribute ${JSON.stringify(attribute)}`);
  }
  if (name.startsWith('__Host-') && (!secure || path !== '/' || domain !== undefined)) {
    throw new SessionError('bad-argument', 'a __Host- cookie is Secure, has Path=/ and no Domain');
  }
  if ((name.startsWith('__Secure-') || sameSite === 'None') && !secure) {
    throw new SessionError('bad-argument', 'browsers take __Secure- and SameSite=None only with Secure');
  }
  const attributes =
    `; Path=${path}` +
    (domain === undefined ? '' : `; Domain=${domain}`) +
    (secure ? '; Secure' : '') +
    (httpOnly ? '; HttpOnly' : '') +
    `; SameSite=${sameSite}`;
  return { name, write: (value, maxAge) => `${name}=${value}; Max-Age=${maxAge}${attributes}` };
}

/**
 * The value of a cookie in a Cookie header; undefined when it is not there. Of
 * several with the name it is the first: browsers send the one with the longest
 * path first.
 */
export function readCookie(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
  }
  return undefined;
}
