/** For tests: the same promises, asked of every face and back end. */
import type { Kept } from '../json.js';
import { nodeCrypto } from '../node/crypto.js';
import type { SessionOptions } from '../options.js';
import { createSessions } from '../sessions.js';
import type { AnySessions } from '../sessions.js';
import { createSessionsOn } from '../sessions-sync.js';
import type { SyncHighWater } from '../high-water.js';
import type { Json } from '../types.js';
import { webCrypto } from '../webcrypto.js';

/** Makes sessions of one kind on one face. */
export type Face = <A extends Kept<A> = Json, D extends Kept<D> = Json>(
  options: SessionOptions<A, D, SyncHighWater>,
) => AnySessions<A, D>;

/** Every face, by name. */
export const faces: Readonly<Record<string, Face>> = {
  'synchronous on node:crypto': (options) => createSessionsOn(nodeCrypto(), options),
  'asynchronous on node:crypto': (options) => createSessions(options, nodeCrypto()),
  'asynchronous on WebCrypto': (options) => createSessions(options, webCrypto()),
};

/** The text of a seal that cannot be too large. */
export async function sealOf<A, D>(
  sessions: AnySessions<A, D>,
  session: Parameters<AnySessions<A, D>['seal']>[0],
): Promise<string> {
  const sealed = await sessions.seal(session);
  if (!sealed.ok) throw new Error(JSON.stringify(sealed));
  return sealed.seal;
}

/** 'ok', or the reason a seal was refused for. */
export async function verdict<A, D>(sessions: AnySessions<A, D>, seal: string): Promise<string> {
  const opened = await sessions.open(seal);
  return opened.ok ? 'ok' : opened.reason;
}
