/** One request's dealings with its session: what every adapter hands to your code. */
import { headerCarrier } from './carrier.js';
import type { Carrier, Exchange, Put } from './carrier.js';
import { SessionError } from './errors.js';
import type { AnySessions } from './sessions.js';
import type { Transport } from './transport.js';
import { cookieTransport } from './transport.js';
import type { Json, Opened, Session, SessionChange, SessionStart, Unsealed } from './types.js';

/** The request brought no seal at all. */
export interface Absent {
  readonly ok: false;
  readonly reason: 'absent';
}

/** What a request's session came to. */
export type Arrived<A, D> = Opened<A, D> | Absent;

/** The response has begun: its headers cannot carry anything any more. The client keeps what it has. */
export interface TooLate {
  readonly ok: false;
  readonly reason: 'too-late';
  /** What the framework said, if it said something. */
  readonly cause?: unknown;
}

/** What handing out a session came to: the state now in force, or why the client does not get it. */
export type Saved<A, D> = { readonly ok: true; readonly session: Session<A, D> } | Unsealed | TooLate;

/** What ending a session came to. */
export interface Ended {
  /** Whether the response takes the seal away from the client: false when it has begun. */
  readonly ok: boolean;
  /** Whether the seal, and every copy of it, is refused from now on: that takes a high-water mark. */
  readonly final: boolean;
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
   * ends the session for every copy of it too.
   */
  end(): Promise<Ended>;
  /**
   * The same for all sessions of the identity in force, on whatever device.
   *
   * @throws SessionError `bad-argument` without `highWater.identities`, or without an identity
   */
  endEverywhere(): Promise<Ended>;
}

/** What an adapter is made from. */
export interface VisitOptions<A = Json, D = Json> {
  readonly sessions: AnySessions<A, D>;
  /** Default: a cookie named `__Host-session`. */
  readonly transport?: Transport;
}

/**
 * Opens the session of one request.
 *
 * @throws SessionError `high-water`
 */
export function openVisit<A, D>(
  sessions: AnySessions<A, D>,
  transport: Transport,
  exchange: Exchange,
): Promise<Visit<A, D>> {
  return openVisitOn(sessions, headerCarrier(transport, exchange));
}

/** The first that opens; of none the reason of the first, which the client thinks most of. */
async function openFirst<A, D>(sessions: AnySessions<A, D>, seals: readonly string[]): Promise<Arrived<A, D>> {
  let first: Arrived<A, D> | undefined;
  for (const seal of seals) {
    const opened = await sessions.open(seal);
    if (opened.ok) return opened;
    first ??= opened;
  }
  return first ?? { ok: false, reason: 'absent' };
}

function tooLate(put: Put & { ok: false }): TooLate {
  return put.cause === undefined
    ? { ok: false, reason: 'too-late' }
    : { ok: false, reason: 'too-late', cause: put.cause };
}

/** The same on any carrier. */
export async function openVisitOn<A, D>(sessions: AnySessions<A, D>, carrier: Carrier): Promise<Visit<A, D>> {
  const arrived = await openFirst(sessions, carrier.seals);
  let session = arrived.ok ? arrived.session : undefined;

  // One step after the other: a save under way must not bring back what an end takes away.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const result = last.then(step);
    last = result.catch(() => undefined);
    return result;
  };

  const handOut = async (next: Session<A, D>): Promise<Saved<A, D>> => {
    const prepared = await sessions.prepare(next);
    if (!prepared.ok) return prepared;
    const maxAge = Math.max(1, Math.ceil((next.expires - next.lastActivity) / 1000));
    const over = carrier.over(prepared.seal, maxAge);
    if (over > 0) return { ok: false, reason: 'too-large', over };
    // First into the response, then the mark: the client's last seal is good until it has the next.
    const put = carrier.put(prepared.seal, maxAge);
    if (!put.ok) return tooLate(put);
    try {
      if (!(await prepared.commit())) {
        put.undo();
        return { ok: false, reason: 'replayed' };
      }
    } catch (error) {
      put.undo();
      throw error;
    }
    session = next;
    return { ok: true, session: next };
  };

  const takeAway = async (finish: (ended: Session<A, D> | undefined) => Promise<boolean>): Promise<Ended> => {
    const ended = session;
    session = undefined;
    const { ok } = carrier.put(undefined, 0);
    return { ok, final: await finish(ended) };
  };

  return {
    arrived,
    get session() {
      return session;
    },
    start: (start) => inTurn(() => handOut(sessions.create(start))),
    save: (change) =>
      inTurn(async () => {
        if (session === undefined) throw new SessionError('bad-argument', 'no session to save: start one');
        return handOut(sessions.advance(session, change));
      }),
    end: () => inTurn(() => takeAway(async (ended) => (ended === undefined ? false : sessions.end(ended)))),
    endEverywhere: () =>
      inTurn(async () => {
        const identity = session?.identity ?? '';
        if (identity === '') throw new SessionError('bad-argument', 'nobody to log out everywhere: no identity');
        return takeAway(async () => {
          await sessions.endIdentity(identity);
          return true;
        });
      }),
  };
}

/** An adapter's two settings with their defaults. */
export function visitOptions<A, D>(options: VisitOptions<A, D>): { sessions: AnySessions<A, D>; transport: Transport } {
  return { sessions: options.sessions, transport: options.transport ?? cookieTransport() };
}
