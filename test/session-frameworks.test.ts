// The recipes for the frameworks do what they say, asked as the frameworks ask.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestCookies, ResponseCookies } from '@edge-runtime/cookies';
import * as recipes from '../examples/session-frameworks.js';
import type { WebVisit } from '../src/session/adapters/web.js';

type AnyVisit = WebVisit<{ visits: number }, null>;

function visitOf(locals: { visit?: AnyVisit }): AnyVisit {
  return locals.visit ?? assert.fail('no visit');
}

/** One request through each framework's door; the page counts, and `/static` does not look. */
const doors: Record<string, (request: Request) => Promise<Response>> = {
  SvelteKit: (request) =>
    recipes.handle({
      event: { request, locals: {} },
      resolve: async (event) => new Response(String(await recipes.count(visitOf(event.locals)))),
    }),
  Astro: (request) => {
    const context = { request, locals: {} as { visit?: AnyVisit } };
    return recipes.onRequest(context, async () => new Response(String(await recipes.count(visitOf(context.locals)))));
  },
  Remix: (request) => {
    const kept = new Map<string, AnyVisit>();
    const context = { set: (key: string, visit: AnyVisit) => void kept.set(key, visit) };
    const middleware = recipes.sessionMiddleware('visit');
    return middleware({ request, context }, async () => {
      // A redirect's headers cannot be changed: what a loader throws comes like this.
      const visits = await recipes.count(kept.get('visit') ?? assert.fail());
      return Response.redirect(`http://server/${visits}`);
    });
  },
  'Next.js, route handlers': (request) => recipes.GET(request),
};

for (const [name, door] of Object.entries(doors)) {
  describe(`the recipe for ${name}`, () => {
    it('counts the visits of a client, and no cache keeps them', async () => {
      let cookie = '';
      for (let visits = 1; visits <= 3; visits++) {
        const response = await door(new Request('http://server/', { headers: { cookie } }));
        const said = response.headers.get('location') ?? (await response.text());
        assert.match(said, new RegExp(`\\b${visits}\\b`));
        assert.equal(response.headers.get('cache-control'), 'no-store');
        assert.equal(response.headers.get('vary'), 'Cookie');
        assert.equal(response.headers.getSetCookie().length, 1);
        cookie = response.headers.getSetCookie()[0].split(';')[0];
      }
    });
  });
}

describe('the recipe for Next.js, server actions and pages', () => {
  it('counts in an action, and reads in a page', async () => {
    let header = '';
    for (let visits = 1; visits <= 3; visits++) {
      const request = new RequestCookies(new Headers({ cookie: header }));
      const headers = new Headers();
      const response = new ResponseCookies(headers);
      const cookies = {
        get: (name: string) => response.get(name) ?? request.get(name),
        set: response.set.bind(response) as (name: string, value: string, attributes: object) => unknown,
      };
      assert.equal(await recipes.action(cookies, header), visits);
      header = headers.getSetCookie()[0].split(';')[0];
      const drawn = new RequestCookies(new Headers({ cookie: header }));
      const page = {
        get: (name: string) => drawn.get(name),
        set: () => assert.fail('a page sets nothing'),
      };
      assert.equal(await recipes.page(page), visits);
    }
  });
});
