/** Sealed sessions on Node: synchronous, and the fast way. */
import type { SyncHighWater } from '../high-water.js';
import type { SessionOptions } from '../options.js';
import { createSessionsOn } from '../sessions-sync.js';
import type { SyncSessions } from '../sessions-sync.js';
import type { Json } from '../types.js';
import { nodeCrypto } from './crypto.js';

/**
 * Sealed sessions of one kind, on node:crypto.
 *
 * @throws SessionError `bad-argument`
 * @example
 * const sessions = createSessionsSync<{ page: number }, { name: string }>({ ring, purpose: 'shop' });
 * const sealed = sessions.seal(sessions.create({ activity: { page: 1 }, data: { name: 'Ada' } }));
 */
export function createSessionsSync<A = Json, D = Json>(
  options: SessionOptions<A, D, SyncHighWater>,
): SyncSessions<A, D> {
  return createSessionsOn<A, D>(nodeCrypto(), options);
}
