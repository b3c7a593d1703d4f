/** Cookies, as far as sessions need them (RFC 6265, and its revision for prefixes). */
import { SessionError } from './errors.js';

/** How a session's cookie is set. The defaults are the safe ones. */
export interface CookieOptions {
  /**
   * Default `__Host-session`: with that prefix browsers insist on Secure, Path=/
   * and no Domain, so that no neighbouring host can put a cookie in its place.
   * `__Secure-session` with another path or a domain, `session` without `secure`.
   */
  readonly name?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default: only the host that set it. */
  readonly domain?: string;
  /** Only over TLS. Default true. Browsers count `http://localhost` as secure, Safari excepted. */
  readonly secure?: boolean;
  /** Out of reach of scripts. Default true. */
  readonly httpOnly?: boolean;
  /** Default `Lax`. */
  readonly sameSite?: 'Strict' | 'Lax' | 'None';
  /**
   * One cookie for each site that embeds yours (CHIPS). Default false; embedded
   * in other sites it needs `sameSite: 'None'` as well.
   */
  readonly partitioned?: boolean;
  /** Whether the browser keeps the cookie when it is closed: false leaves Max-Age out. Default true. */
  readonly persistent?: boolean;
}

/** The same with nothing left open. */
export interface CheckedCookie {
  readonly name: string;
  readonly path: string;
  readonly domain: string | undefined;
  readonly secure: boolean;
  readonly httpOnly: boolean;
  readonly sameSite: 'Strict' | 'Lax' | 'None';
  readonly partitioned: boolean;
  readonly persistent: boolean;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]*$/;

/** What browsers ask of a name with this prefix; they look at it in any case (RFC 6265bis, 4.1.3). */
const PREFIXES: readonly (readonly [prefix: string, wants: readonly ('host' | 'httpOnly')[]])[] = [
  ['__host-http-', ['host', 'httpOnly']],
  ['__host-', ['host']],
  ['__http-', ['httpOnly']],
  ['__secure-', []],
];

function bad(what: string): SessionError {
  return new SessionError('bad-argument', what);
}

function checkPrefix(cookie: CheckedCookie): void {
  const lower = cookie.name.toLowerCase();
  const prefix = PREFIXES.find(([start]) => lower.startsWith(start));
  if (prefix === undefined) return;
  const [start, wants] = prefix;
  if (!cookie.secure) throw bad(`browsers take a ${start} cookie only with Secure`);
  if (wants.includes('host') && (cookie.path !== '/' || cookie.domain !== undefined)) {
    throw bad(`a ${start} cookie has Path=/ and no Domain`);
  }
  if (wants.includes('httpOnly') && !cookie.httpOnly) throw bad(`a ${start} cookie is HttpOnly`);
}

function defaultName(secure: boolean, path: string, domain: string | undefined): string {
  if (!secure) return 'session';
  return path === '/' && domain === undefined ? '__Host-session' : '__Secure-session';
}

/** @throws SessionError `bad-argument` for what would not be one cookie, or none that browsers keep */
export function checkCookie(options: CookieOptions = {}): CheckedCookie {
  const { path = '/', domain, secure = true, httpOnly = true, sameSite = 'Lax' } = options;
  const { partitioned = false, persistent = true, name = defaultName(secure, path, domain) } = options;
  if (!TOKEN.test(name)) throw bad(`cookie name ${JSON.stringify(name)}: not an HTTP token`);
  for (const attribute of [path, domain ?? '']) {
    if (!ATTRIBUTE.test(attribute)) throw bad(`cookie attribute ${JSON.stringify(attribute)}`);
  }
  // Browsers take a path of their own choice for any other.
  if (!path.startsWith('/')) throw bad(`cookie path ${JSON.stringify(path)}: it begins with /`);
  if (sameSite === 'None' && !secure) throw bad('browsers take SameSite=None only with Secure');
  if (partitioned && !secure) throw bad('browsers take Partitioned only with Secure');
  const cookie = { name, path, domain, secure, httpOnly, sameSite, partitioned, persistent };
  checkPrefix(cookie);
  return cookie;
}

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

/** @throws SessionError `bad-argument` as `checkCookie` */
export function cookieWriter(options: CookieOptions = {}): CookieWriter {
  const { name, path, domain, secure, httpOnly, sameSite, partitioned, persistent } = checkCookie(options);
  const attributes =
    `; Path=${path}` +
    (domain === undefined ? '' : `; Domain=${domain}`) +
    (secure ? '; Secure' : '') +
    (httpOnly ? '; HttpOnly' : '') +
    `; SameSite=${sameSite}` +
    (partitioned ? '; Partitioned' : '');
  return {
    name,
    write: (value, maxAge) => `${name}=${value}${persistent || maxAge === 0 ? `; Max-Age=${maxAge}` : ''}${attributes}`,
  };
}

/**
 * A browser sends a few dozen cookies of one name at most. Each that looks like
 * a seal is deciphered: this bounds what one request can ask for.
 */
export const MOST_VALUES = 32;

/**
 * Takes off the spaces and tabs that a header may have around its parts. No more:
 * `String.trim` also takes U+00A0 and others, which a browser counts as part of
 * the name, and so a neighbouring host could set a `__Host-` cookie after all.
 */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * The values of all cookies of a name in a Cookie header, the likeliest first:
 * browsers send the one with the longest path first, then the oldest. There is
 * more than one when a parent domain, or another path, has set it too.
 */
export function readCookies(header: string, name: string): string[] {
  const values: string[] = [];
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0 || trimmed(pair.slice(0, equals)) !== name) continue;
    const text = trimmed(pair.slice(equals + 1));
    const value = text.startsWith('"') && text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text;
    if (value !== '' && !values.includes(value)) values.push(value);
    if (values.length === MOST_VALUES) break;
  }
  return values;
}
