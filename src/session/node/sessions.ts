/** Sealed sessions on Node: synchronous, and the fast way. */
import type { SyncHighWater } from '../high-water.js';
import type { Kept } from '../json.js';
import type { SessionOptions } from '../options.js';
import { createSessionsOn } from '../sessions-sync.js';
import type { SyncSessions } from '../sessions-sync.js';
import type { Json } from '../types.js';
import { nodeCrypto } from './crypto.js';

/**
 * Sealed sessions of one kind, on node:crypto.
 *
 * @throws SessionError `bad-argument`, `async-store` when the store of marks answers later
 * @example
 * const sessions = createSessionsSync<{ page: number }, { name: string }>({ ring, purpose: 'shop' });
 * const sealed = sessions.seal(sessions.create({ activity: { page: 1 }, data: { name: 'Ada' } }));
 */
export function createSessionsSync<A extends Kept<A> = Json, D extends Kept<D> = Json>(
  options: SessionOptions<A, D, SyncHighWater>,
): SyncSessions<A, D> {
  return createSessionsOn<A, D>(nodeCrypto(), options);
}
