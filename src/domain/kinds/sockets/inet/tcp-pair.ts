import { DomainError } from '../../../errors.js';
import type { CheckpointContext } from '../../kind.js';
import { endpointKey, endpointOf } from './address.js';
import { agree, MOST_LOOKS, readConnection, settle, type Connection } from './tcp-repair.js';

/** An end of a connection, as it was read, or read again: the other end, read later, may not agree with it. */
export interface Connected {
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
  connection: Connection;
}

/** Ends read for a checkpoint by their addresses, here then there, with the descriptors that they were read by. */
const readSoFar = new WeakMap<CheckpointContext, Map<string, { readonly fd: number; readonly end: Connected }>>();

/**
 * Where both ends of a connection are in the domain, they are read one after the other, and the kernel may have sent
 * again, or acknowledged, between: then both are read anew.
 */
export async function inAgreement(context: CheckpointContext, fd: number, end: Connected): Promise<void> {
  const known = readSoFar.get(context) ?? new Map<string, { readonly fd: number; readonly end: Connected }>();
  readSoFar.set(context, known);
  const [local, peer] = [endpointKey(endpointOf(end.local)), endpointKey(endpointOf(end.peer))];
  known.set(`${local} ${peer}`, { fd, end });
  const other = known.get(`${peer} ${local}`);
  if (other === undefined) return;
  for (let look = 0; look < MOST_LOOKS; look++) {
    const [here, there] = [end.connection, other.end.connection];
    if (agree(here, there)) {
      end.connection = settle(here, there);
      other.end.connection = settle(there, here);
      return;
    }
    other.end.connection = await readConnection(context.hands, other.fd);
    end.connection = await readConnection(context.hands, fd);
  }
  throw new DomainError('state', 'a TCP connection between processes of the domain does not come to rest');
}
