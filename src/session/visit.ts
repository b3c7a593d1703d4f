/** One request's dealings with its session: what every adapter hands to your code. */
import { SessionError } from './errors.js';
import type { AnySessions } from './sessions.js';
import type { Transport } from './transport.js';
import { cookieTransport } from './transport.js';
import type { Json, Opened, Sealed, Session, SessionChange, SessionStart } from './types.js';

/** The request brought no seal at all. */
export interface Absent {
  readonly ok: false;
  readonly reason: 'absent';
}

/** What a request's session came to. */
export type Arrived<A, D> = Opened<A, D> | Absent;

/** What handing out a session came to: the state now in force, or by how many bytes its seal is too large. */
export type Saved<A, D> =
  | { readonly ok: true; readonly session: Session<A, D> }
  | { readonly ok: false; readonly reason: 'too-large'; readonly over: number };

/** The two things an adapter does for a request. */
export interface Exchange {
  /** A request header's value, by its lower-case name. */
  get(name: string): string | null | undefined;
  /** Sets the response header that carries the session; called again it replaces what it set before. */
  set(name: string, value: string): void;
}

/** A request's session. */
export interface Visit<A = Json, D = Json> {
  /** The session that came with the request, or why there is none. */
  readonly arrived: Arrived<A, D>;
  /** The session in force: the one that arrived, then the one saved last. */
  readonly session: Session<A, D> | undefined;
  /** Begins a new session, under a new id: at log-in, always. */
  start(start: SessionStart<A, D>): Promise<Saved<A, D>>;
  /**
   * Advances the session in force and hands it out. Without one it is an error
   * of the program (SessionError `bad-argument`): look at `session` first.
   */
  save(change?: SessionChange<A, D>): Promise<Saved<A, D>>;
  /**
   * Takes the seal away from the client and, where there is a high-water mark,
   * ends the session for every copy of it too; returns whether it did the latter.
   */
  end(): Promise<boolean>;
}

/** What an adapter is made from. */
export interface VisitOptions<A = Json, D = Json> {
  readonly sessions: AnySessions<A, D>;
  /** Default: a cookie named `session`. */
  readonly transport?: Transport;
}

/**
 * Opens the session of one request.
 *
 * @throws SessionError `high-water`
 */
export async function openVisit<A, D>(
  sessions: AnySessions<A, D>,
  transport: Transport,
  exchange: Exchange,
): Promise<Visit<A, D>> {
  const header = exchange.get(transport.requestHeader);
  const seal = header === null || header === undefined ? undefined : transport.read(header);
  const arrived: Arrived<A, D> =
    seal === undefined || seal === '' ? { ok: false, reason: 'absent' } : await sessions.open(seal);
  let session = arrived.ok ? arrived.session : undefined;

  const handOut = async (next: Session<A, D>): Promise<Saved<A, D>> => {
    const sealed: Sealed = await sessions.seal(next);
    if (!sealed.ok) return sealed;
    const maxAge = Math.max(1, Math.ceil((next.expires - next.lastActivity) / 1000));
    const value = transport.write(sealed.seal, maxAge);
    const over = transport.over(value);
    if (over > 0) return { ok: false, reason: 'too-large', over };
    exchange.set(transport.responseHeader, value);
    session = next;
    return { ok: true, session: next };
  };

  return {
    arrived,
    get session() {
      return session;
    },
    start: (start) => handOut(sessions.create(start)),
    save(change) {
      if (session === undefined)
        return Promise.reject(new SessionError('bad-argument', 'no session to save: start one'));
      return handOut(sessions.advance(session, change));
    },
    async end() {
      const ended = session;
      session = undefined;
      exchange.set(transport.responseHeader, transport.clear());
      return ended === undefined ? false : sessions.end(ended);
    },
  };
}

/** An adapter's two settings with their defaults. */
export function visitOptions<A, D>(options: VisitOptions<A, D>): { sessions: AnySessions<A, D>; transport: Transport } {
  return { sessions: options.sessions, transport: options.transport ?? cookieTransport() };
}
