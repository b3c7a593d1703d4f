/** For tests: servers of this process, on ports of their own, all closed in the end. */
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

/** Sends a request to one server. */
export type Fetch = (path: string, headers?: Record<string, string>) => Promise<Response>;

/** Makes a function that starts servers, and closes them after the tests of this file. */
export function servers(): { listen(listener: RequestListener): Promise<Fetch>; keep(server: Server): void } {
  const running: Server[] = [];
  after(() => {
    for (const server of running) {
      server.closeAllConnections();
      server.close();
    }
  });
  return {
    keep: (server) => void running.push(server),
    async listen(listener) {
      const server = createServer(listener);
      running.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      return (path, headers = {}) => fetch(`http://127.0.0.1:${port}${path}`, { headers, redirect: 'manual' });
    },
  };
}

/** The session's cookie of a response, as a client sends it back; undefined when there is none. */
export function sessionCookie(response: Response): string | undefined {
  return response.headers
    .getSetCookie()
    .find((cookie) => cookie.startsWith('__Host-session='))
    ?.split(';')[0];
}
