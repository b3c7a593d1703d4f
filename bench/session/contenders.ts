/** The libraries compared, each as one function that seals and opens a state. */
import { randomBytes, randomFillSync } from 'node:crypto';
import * as Iron from '@hapi/iron';
import { sealData, unsealData } from 'iron-session';
import { compactDecrypt, CompactEncrypt } from 'jose';
import { createKey, createSessions, DEFAULT_POLICY, KeyRing } from '../../src/session/index.js';
import { createSessionsSync, nodeCrypto } from '../../src/session/node/index.js';
import type { ShopState } from './states.js';

/** Seals and opens `state` `times` times; throws when what was opened is not what was sealed. */
export type Contender = (state: ShopState, times: number) => Promise<void>;

const TTL = 14 * 86_400;

function check(opened: ShopState, state: ShopState): void {
  // One field at the end: a full comparison would be measured too.
  if (opened.accessToken !== state.accessToken) throw new Error('what was opened is not what was sealed');
}

/** This project's, synchronous on node:crypto. */
function understudy(): Contender {
  const ring = newRing();
  const sessions = createSessionsSync<null, ShopState>({ ring, purpose: 'bench' });
  return async (state, times) => {
    const session = sessions.create({ activity: null, data: state });
    for (let i = 0; i < times; i++) {
      const sealed = sessions.seal(session);
      if (!sealed.ok) throw new Error('too large');
      const opened = sessions.open(sealed.seal);
      if (!opened.ok) throw new Error(opened.reason);
      check(opened.session.data, state);
    }
    return Promise.resolve();
  };
}

/** This project's with promises, on either back end. */
function understudyAsync(backend?: ReturnType<typeof nodeCrypto>): Contender {
  const sessions = createSessions<null, ShopState>({ ring: newRing(), purpose: 'bench' }, backend);
  return async (state, times) => {
    const session = sessions.create({ activity: null, data: state });
    for (let i = 0; i < times; i++) {
      const sealed = await sessions.seal(session);
      if (!sealed.ok) throw new Error('too large');
      const opened = await sessions.open(sealed.seal);
      if (!opened.ok) throw new Error(opened.reason);
      check(opened.session.data, state);
    }
  };
}

function newRing(): KeyRing {
  const empty = { policy: DEFAULT_POLICY, keys: [] };
  return new KeyRing(createKey(empty, Date.now(), (bytes) => randomFillSync(bytes)).content);
}

/** iron-session's `sealData` and `unsealData`, with the life it has by default. */
function ironSession(): Contender {
  const password = randomBytes(24).toString('base64url');
  return async (state, times) => {
    for (let i = 0; i < times; i++) {
      const seal = await sealData(state, { password, ttl: TTL });
      check(await unsealData<ShopState>(seal, { password, ttl: TTL }), state);
    }
  };
}

/** @hapi/iron with its defaults and a life. */
function hapiIron(): Contender {
  const password = randomBytes(24).toString('base64url');
  const options = { ...Iron.defaults, ttl: TTL * 1000 };
  return async (state, times) => {
    for (let i = 0; i < times; i++) {
      const seal = await Iron.seal(state, password, options);
      check((await Iron.unseal(seal, password, options)) as ShopState, state);
    }
  };
}

/** jose: JWE, `dir` and A256GCM. No claims, no life: its leanest way to do this. */
function jose(): Contender {
  const key = randomBytes(32);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  return async (state, times) => {
    for (let i = 0; i < times; i++) {
      const seal = await new CompactEncrypt(encoder.encode(JSON.stringify(state)))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .encrypt(key);
      const { plaintext } = await compactDecrypt(seal, key);
      check(JSON.parse(decoder.decode(plaintext)) as ShopState, state);
    }
  };
}

/** Those that are compared, by the name they have in the report. */
export function contenders(): Record<string, Contender> {
  return { understudy: understudy(), ironSession: ironSession(), hapiIron: hapiIron(), jose: jose() };
}

/**
 * This project's other ways. A server uses one of them; in one process they
 * would make each other's code slower, so they have a run of their own.
 */
export function variants(): Record<string, Contender> {
  return { understudyAsync: understudyAsync(nodeCrypto()), understudyWebCrypto: understudyAsync() };
}
