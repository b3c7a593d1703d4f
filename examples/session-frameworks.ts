/**
 * Sealed sessions in SvelteKit, Astro, Remix (React Router) and Next.js: each
 * what you put into one file of yours. The frameworks' types are written out as
 * far as they are used, so that this file needs none of them.
 *
 *   node dist/examples/session-frameworks.js
 */
import { pathToFileURL } from 'node:url';
import { cookieStoreSessions, webSessions } from '../src/session/adapters/web.js';
import type { CookieStore, WebVisit } from '../src/session/adapters/web.js';
import { createKey, createSessions, DEFAULT_POLICY, KeyRing } from '../src/session/index.js';
import type { Visit } from '../src/session/index.js';

interface Activity {
  visits: number;
}

// In production: new KeyRing(ringFromEnvironment(process.env)), or openRing(path) on Node.
const { content } = createKey({ policy: DEFAULT_POLICY, keys: [] }, Date.now(), (bytes) =>
  crypto.getRandomValues(bytes),
);
const sessions = createSessions<Activity, null>({ ring: new KeyRing(content), purpose: 'frameworks' });
const visitOf = webSessions({ sessions });

/** What all of them do: count a client's visits. */
export async function count(visit: Visit<Activity, null>): Promise<number> {
  const visits = (visit.session?.activity.visits ?? 0) + 1;
  const activity = { visits };
  const saved = await (visit.session === undefined ? visit.start({ activity, data: null }) : visit.save({ activity }));
  if (!saved.ok) throw new Error(`the session was not saved: ${saved.reason}`);
  return visits;
}

// ---- SvelteKit, src/hooks.server.ts: then `event.locals.visit` in load functions, actions and endpoints.
interface SvelteKitEvent {
  readonly request: Request;
  readonly locals: { visit?: WebVisit<Activity, null> };
}

export async function handle<E extends SvelteKitEvent>(input: {
  event: E;
  resolve: (event: E) => Response | Promise<Response>;
}): Promise<Response> {
  const visit = await visitOf(input.event.request);
  input.event.locals.visit = visit;
  return visit.apply(await input.resolve(input.event));
}

// ---- Astro, src/middleware.ts: then `Astro.locals.visit`. Save before the page's first byte, in its frontmatter.
interface AstroContext {
  readonly request: Request;
  readonly locals: { visit?: WebVisit<Activity, null> };
}

export async function onRequest(context: AstroContext, next: () => Promise<Response>): Promise<Response> {
  const visit = await visitOf(context.request);
  context.locals.visit = visit;
  return visit.apply(await next());
}

// ---- Remix, React Router, app/root.tsx: `export const middleware = [sessionMiddleware(visitContext)]`, where
// visitContext is createContext(); then `context.get(visitContext)` in loaders and actions.
interface RouterArguments<Key> {
  readonly request: Request;
  readonly context: { set(key: Key, visit: WebVisit<Activity, null>): void };
}

export function sessionMiddleware<Key>(key: Key) {
  return async ({ request, context }: RouterArguments<Key>, next: () => Promise<Response>): Promise<Response> => {
    const visit = await visitOf(request);
    context.set(key, visit);
    return visit.apply(await next());
  };
}

// ---- Next.js, app/.../route.ts: a request and a response are at hand.
export async function GET(request: Request): Promise<Response> {
  const visit = await visitOf(request);
  return visit.apply(Response.json({ visits: await count(visit) }));
}

// ---- Next.js, server actions and pages: there is only `cookies()`. In a page it can be read and not be saved.
const visitIn = cookieStoreSessions({ sessions });

/** `await action(await cookies(), (await headers()).get('cookie'))` below 'use server'. */
export async function action(cookies: CookieStore, header?: string | null): Promise<number> {
  return count(await visitIn(cookies, header));
}

/** `await page(await cookies())` */
export async function page(cookies: CookieStore, header?: string | null): Promise<number> {
  return (await visitIn(cookies, header)).session?.activity.visits ?? 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  let cookie = '';
  for (let i = 0; i < 3; i++) {
    const response = await GET(new Request('http://localhost/', { headers: { cookie } }));
    cookie = response.headers.getSetCookie()[0].split(';')[0];
    console.log(await response.text(), response.headers.get('cache-control'), response.headers.get('vary'));
  }
}
