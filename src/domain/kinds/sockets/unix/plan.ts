import { STATE_ESTABLISHED, STATE_LISTEN } from './diag.js';
import { isNamed, key, type UnixState } from './state.js';
import { SOCK_DGRAM } from '../../../linux/socket-numbers.js';

/** Two ends that are made as one; `b` is undefined where nobody has the other end any more. */
export interface Pair {
  readonly a: UnixState;
  readonly b: UnixState | undefined;
}

/** A connection that was accepted. */
export interface Accepted {
  /** The end that connected, unless it is gone. */
  readonly client: UnixState | undefined;
  /** The end that was accepted, unless it is gone: has the name of the one that listened. */
  readonly server: UnixState | undefined;
  /** That name, and who listened as the kernel remembers it. */
  readonly name: Uint8Array;
  readonly listener: UnixState | undefined;
}

/** In which way each socket of a domain comes to be. */
export interface Plan {
  readonly pairs: readonly Pair[];
  readonly accepted: readonly Accepted[];
  /** Connections that wait to be accepted, in order. */
  readonly waiting: readonly { readonly client: UnixState; readonly listener: UnixState }[];
  /** Made by socket(2). */
  readonly plain: readonly UnixState[];
  /** Sockets that are bound to their name, and have not got it by being accepted. */
  readonly named: readonly UnixState[];
}

export function planOf(states: readonly UnixState[]): Plan {
  const byInode = new Map(states.map((s) => [s.inode, s]));
  const listeners = states.filter((s) => s.info.state === STATE_LISTEN);
  const listenerOf = (name: Uint8Array, type: number): UnixState | undefined =>
    listeners.find((l) => l.type === type && key(l.local) === key(name));
  const pairs: Pair[] = [];
  const accepted: Accepted[] = [];
  const done = new Set<UnixState>();
  const inherited = new Set<UnixState>();

  const waiting = listeners.flatMap((listener) =>
    listener.info.waiting.flatMap((inode) => {
      const client = byInode.get(inode);
      if (client === undefined) return [];
      done.add(client);
      return [{ client, listener }];
    }),
  );
  for (const a of states) {
    if (done.has(a) || a.info.peer === undefined) continue;
    const b = byInode.get(a.info.peer);
    if (a.type === SOCK_DGRAM) {
      // The other end of a pair has no name; whatever has one is connected to later.
      if (isNamed(a.peer) || a === b) continue;
      done.add(a);
      if (b !== undefined) done.add(b);
      pairs.push({ a, b });
      continue;
    }
    if (a.info.state !== STATE_ESTABLISHED) continue;
    done.add(a);
    if (b !== undefined) done.add(b);
    const server = serverOf(a, b, listenerOf);
    if (server === undefined) {
      pairs.push({ a, b });
      continue;
    }
    const client = server === a ? b : a;
    const name = server === 'gone' ? a.peer : server.local;
    if (server !== 'gone') inherited.add(server);
    accepted.push({
      client: server === 'gone' ? a : client,
      server: server === 'gone' ? undefined : server,
      name,
      listener: listenerOf(name, a.type),
    });
  }
  return {
    pairs,
    accepted,
    waiting,
    plain: states.filter((s) => !done.has(s)),
    named: states.filter((s) => isNamed(s.local) && !inherited.has(s)),
  };
}

/** Which end of a connection was accepted; undefined: none, it is a pair. */
function serverOf(
  a: UnixState,
  b: UnixState | undefined,
  listenerOf: (name: Uint8Array, type: number) => UnixState | undefined,
): UnixState | 'gone' | undefined {
  if (b === undefined) {
    // Who was accepted shares a name with who listened; who connected has a peer with one.
    if (isNamed(a.local) && !(isNamed(a.peer) && listenerOf(a.local, a.type) === undefined)) return a;
    return isNamed(a.peer) ? 'gone' : undefined;
  }
  const named = [a, b].filter((s) => isNamed(s.local));
  if (named.length < 2) return named[0];
  // A client with a name of its own: it is remembered to be who connected to the other end.
  const listening = named.find((s) => listenerOf(s.local, s.type) !== undefined);
  return listening ?? named.find((s) => s.maker?.pid === (s === a ? b : a).holder.pid) ?? a;
}
