/**
 * Sessions on a framework's own store of cookies: `cookies()` of Next.js,
 * `event.cookies` of SvelteKit, `Astro.cookies`. For places where there is
 * neither a request nor a response at hand, only these.
 *
 * The framework writes the headers, and so what caches are told is its part:
 * Next.js does that for every page that uses `cookies()`. Where you have the
 * Response (route handlers, SvelteKit's `handle`, Astro's and Remix's
 * middleware) use `webSessions`, which does.
 */
import { checkCookie, cookieWriter, readCookies } from '../cookie.js';
import type { CookieOptions } from '../cookie.js';
import type { Carrier, Put } from '../carrier.js';
import { COOKIE_SIZE } from '../limits.js';
import type { AnySessions } from '../sessions.js';
import type { Json } from '../types.js';
import { openVisitOn } from '../visit.js';
import type { Visit } from '../visit.js';

/** A cookie's attributes as these frameworks (and the package `cookie`) name them. */
export interface CookieAttributes {
  readonly path: string;
  readonly domain?: string;
  readonly secure: boolean;
  readonly httpOnly: boolean;
  readonly sameSite: 'strict' | 'lax' | 'none';
  readonly partitioned?: boolean;
  /** Seconds; 0 takes the cookie away. */
  readonly maxAge?: number;
}

/** The part of a store of cookies that is used. */
export interface CookieStore {
  get(name: string): string | { readonly value: string } | undefined;
  set(name: string, value: string, attributes: CookieAttributes): unknown;
}

/** What `cookieStoreSessions` is made from. */
export interface CookieStoreOptions<A = Json, D = Json> {
  readonly sessions: AnySessions<A, D>;
  /** How the cookie is set. Default: `__Host-session`, as `cookieTransport`. */
  readonly cookie?: CookieOptions;
}

/**
 * @returns a function that opens the session in a store. With the request's
 *   Cookie header all cookies of the name are tried: a store knows only one
 * @example
 * const visitOf = cookieStoreSessions({ sessions });
 * // Next.js, in a server action or a page
 * const visit = await visitOf(await cookies(), (await headers()).get('cookie'));
 */
export function cookieStoreSessions<A, D>(
  options: CookieStoreOptions<A, D>,
): (store: CookieStore, header?: string | null) => Promise<Visit<A, D>> {
  const cookie = checkCookie(options.cookie);
  const writer = cookieWriter(options.cookie);
  const attributes: CookieAttributes = {
    path: cookie.path,
    ...(cookie.domain === undefined ? {} : { domain: cookie.domain }),
    secure: cookie.secure,
    httpOnly: cookie.httpOnly,
    sameSite: cookie.sameSite.toLowerCase() as 'strict' | 'lax' | 'none',
    ...(cookie.partitioned ? { partitioned: true } : {}),
  };

  const put = (store: CookieStore, value: string, maxAge: number): { readonly cause: unknown } | undefined => {
    const lasting = cookie.persistent || maxAge === 0;
    try {
      store.set(cookie.name, value, lasting ? { ...attributes, maxAge } : attributes);
      return undefined;
    } catch (error) {
      // In a page that is being drawn, or after the response: every one of these frameworks throws.
      return { cause: error };
    }
  };

  const carrierOf = (store: CookieStore, header: string | null | undefined): Carrier => {
    const found = store.get(cookie.name);
    const own = (typeof found === 'string' ? found : found?.value) ?? '';
    const seals = readCookies(header ?? '', cookie.name);
    if (own !== '' && !seals.includes(own)) seals.unshift(own);
    let present: readonly [value: string, maxAge: number] | undefined;
    return {
      seals,
      over: (seal, maxAge) => writer.write(seal, maxAge).length - COOKIE_SIZE,
      put(seal, maxAge): Put {
        const failure = put(store, seal ?? '', maxAge);
        if (failure !== undefined) return { ok: false, cause: failure.cause };
        // A store cannot forget that something was set: what the client came with is what it is to have again.
        const before = present ?? (seals.length === 0 ? (['', 0] as const) : ([seals[0], maxAge] as const));
        present = [seal ?? '', maxAge];
        return {
          ok: true,
          undo() {
            if (put(store, ...before) === undefined) present = before;
          },
        };
      },
    };
  };

  return async (store, header) => openVisitOn(options.sessions, carrierOf(store, header));
}
