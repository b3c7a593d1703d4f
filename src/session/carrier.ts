/** Where a visit finds the client's seal and puts its answer: headers, or a framework's own store of cookies. */
import type { Transport } from './transport.js';

/** What putting something into a response came to. */
export type Put =
  /** It is in the response now; `undo` takes it out again, with what was there before back in its place. */
  | { readonly ok: true; undo(): void }
  /** The response has begun: nothing can be added. `cause` is what the framework said, if it said something. */
  | { readonly ok: false; readonly cause?: unknown };

/** One request's way to its client. */
export interface Carrier {
  /** The seals that came, the likeliest first: cookies of one name may be several. */
  readonly seals: readonly string[];
  /** Bytes by which a seal is over what the client keeps; 0 or less when it fits. */
  over(seal: string, maxAge: number): number;
  /**
   * Puts a seal into the response, in place of what was put before; undefined
   * takes the client's seal away.
   *
   * @param maxAge - seconds the client is to keep it
   */
  put(seal: string | undefined, maxAge: number): Put;
}

/** The two things an adapter does for a request. */
export interface Exchange {
  /** A request header's value, by its lower-case name. */
  get(name: string): string | null | undefined;
  /**
   * Sets the response header that carries the session, in place of what it set
   * before; undefined: the response is to carry none.
   *
   * @returns false when the response has begun, and nothing was set
   */
  set(name: string, value: string | undefined): boolean;
}

/** A carrier made of a request's and a response's headers. */
export function headerCarrier(transport: Transport, exchange: Exchange): Carrier {
  const header = exchange.get(transport.requestHeader);
  let present: string | undefined;
  return {
    seals: header === null || header === undefined ? [] : transport.read(header),
    over: (seal, maxAge) => transport.over(transport.write(seal, maxAge)),
    put(seal, maxAge) {
      const before = present;
      const value = seal === undefined ? transport.clear() : transport.write(seal, maxAge);
      if (!exchange.set(transport.responseHeader, value)) return { ok: false };
      present = value;
      return {
        ok: true,
        undo() {
          // A response that has begun meanwhile keeps it.
          if (exchange.set(transport.responseHeader, before)) present = before;
        },
      };
    },
  };
}
