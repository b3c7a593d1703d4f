import type { CheckpointContext } from '../../kind.js';
import { endpointOf } from './address.js';
import type { InetSocket } from './inet-socket.js';

type Bound = InetSocket & { shared: boolean };

/** Sockets of a checkpoint that have a port and no connection, by protocol and port. */
const bound = new WeakMap<CheckpointContext, Map<string, Bound[]>>();

/** Notes which sockets are bound to one port of one address: each must let the others in when they are made. */
export function noteShared<S extends Bound>(context: CheckpointContext, s: S): S {
  const { port, address } = endpointOf(s.local);
  if (port === 0) return s;
  const known = bound.get(context) ?? new Map<string, Bound[]>();
  bound.set(context, known);
  const key = `${s.protocol} ${port}`;
  const others = known.get(key) ?? [];
  known.set(key, [...others, s]);
  for (const other of others) if (meet(address, endpointOf(other.local).address)) other.shared = s.shared = true;
  return s;
}

const isAny = (address: Uint8Array): boolean => address.every((byte) => byte === 0);
const meet = (x: Uint8Array, y: Uint8Array): boolean =>
  isAny(x) || isAny(y) || (x.length === y.length && x.every((byte, i) => byte === y[i]));
