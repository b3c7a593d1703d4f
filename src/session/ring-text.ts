/**
 * A ring as text, for a file, an environment variable or a secret store:
 *
 *   {
 *     "format": "understudy-session-keys", "version": 1,
 *     "policy": { "propagation": 3600, "lifetime": 7776000, "overlap": 2592000 },
 *     "keys": [{
 *       "id": "5e55104e", "secret": "<43 characters of base64url>",
 *       "created": "2026-11-01T08:00:00.000Z", "activates": "...", "expires": "..."
 *     }, { ..., "revoked": "..." }]
 *   }
 *
 * A revoked key has no secret. The whole may be wrapped in base64url, for
 * places that do not like braces.
 */
import { SessionError } from './errors.js';
import { formatKeyId } from './ring.js';
import type { RingContent, RingKey, RingPolicy } from './ring.js';
import { fromBase64url, portableText, toBase64url } from './text.js';
import { byteLength } from './format.js';
import { KEY_SIZE } from './xaes.js';

const FORMAT = 'understudy-session-keys';
/** The variable `ringFromEnvironment` reads unless told otherwise. */
export const ENVIRONMENT_VARIABLE = 'UNDERSTUDY_SESSION_KEYS';

type Fields = Readonly<Record<string, unknown>>;

function bad(where: string, what: string): SessionError {
  return new SessionError('bad-ring', `key ring: ${where} ${what}`);
}

function fields(value: unknown, where: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(where, 'is not an object');
  // A misspelt "revoked" must not leave a key in service.
  for (const name of Object.keys(value)) if (!known.includes(name)) throw bad(where, `has an unknown field "${name}"`);
  return value as Fields;
}

function seconds(value: unknown, where: string): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1e10)) throw bad(where, 'is not a number of seconds');
  return value;
}

function time(value: unknown, where: string): number {
  const ms = typeof value === 'string' ? Date.parse(value) : NaN;
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== value)
    throw bad(where, 'is not a time like 2026-01-31T00:00:00.000Z');
  return ms;
}

function secretBytes(value: unknown, where: string): Uint8Array {
  const bytes = new Uint8Array(KEY_SIZE);
  if (typeof value !== 'string' || byteLength(value.length) !== KEY_SIZE || fromBase64url(value, bytes) !== KEY_SIZE) {
    throw bad(where, `is not ${KEY_SIZE} bytes of base64url`);
  }
  return bytes;
}

function readPolicy(value: unknown): RingPolicy {
  const policy = fields(value, 'policy', ['propagation', 'lifetime', 'overlap']);
  return {
    propagation: seconds(policy['propagation'], 'policy.propagation'),
    lifetime: seconds(policy['lifetime'], 'policy.lifetime'),
    overlap: seconds(policy['overlap'], 'policy.overlap'),
  };
}

function readKey(value: unknown, where: string): RingKey {
  const key = fields(value, where, ['id', 'secret', 'created', 'activates', 'expires', 'revoked']);
  const id = key['id'];
  if (typeof id !== 'string' || !/^[0-9a-f]{8}$/.test(id)) throw bad(`${where}.id`, 'is not 8 hexadecimal digits');
  const revoked = key['revoked'] === undefined ? undefined : time(key['revoked'], `${where}.revoked`);
  if (revoked !== undefined && key['secret'] !== undefined) throw bad(where, 'is revoked and still has a secret');
  const activates = time(key['activates'], `${where}.activates`);
  const expires = time(key['expires'], `${where}.expires`);
  if (expires < activates) throw bad(where, 'expires before it activates');
  return {
    id: parseInt(id, 16),
    secret: revoked === undefined ? secretBytes(key['secret'], `${where}.secret`) : undefined,
    created: time(key['created'], `${where}.created`),
    activates,
    expires,
    ...(revoked === undefined ? {} : { revoked }),
  };
}

function unwrap(text: string): string {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) return trimmed;
  const bytes = new Uint8Array(byteLength(trimmed.length));
  const length = fromBase64url(trimmed, bytes);
  if (length <= 0) throw bad('the text', 'is neither JSON nor base64url');
  return portableText.readUtf8(bytes, 0, length);
}

/**
 * Reads a ring's text, trusting none of it.
 *
 * @throws SessionError `bad-ring`, with the place and never with a secret
 */
export function parseRing(text: string): RingContent {
  let json: unknown;
  try {
    json = JSON.parse(unwrap(text));
  } catch (error) {
    if (error instanceof SessionError) throw error;
    // The parser's own message would quote the text, and with it secrets.
    throw bad('the text', 'is not JSON');
  }
  const ring = fields(json, 'the ring', ['format', 'version', 'policy', 'keys']);
  if (ring['format'] !== FORMAT) throw bad('format', `is not "${FORMAT}"`);
  if (ring['version'] !== 1) throw bad('version', 'is not 1');
  if (!Array.isArray(ring['keys'])) throw bad('keys', 'is not a list');
  const keys = ring['keys'].map((key, i) => readKey(key, `keys[${i}]`));
  const ids = new Set(keys.map((key) => key.id));
  if (ids.size !== keys.length) throw bad('keys', 'has one id twice');
  return { policy: readPolicy(ring['policy']), keys };
}

/** Writes a ring as JSON: secrets included. */
export function formatRing(content: RingContent): string {
  const iso = (ms: number) => new Date(ms).toISOString();
  const keys = content.keys.map((key) => ({
    id: formatKeyId(key.id),
    secret: key.secret === undefined ? undefined : toBase64url(key.secret),
    created: iso(key.created),
    activates: iso(key.activates),
    expires: iso(key.expires),
    revoked: key.revoked === undefined ? undefined : iso(key.revoked),
  }));
  return JSON.stringify({ format: FORMAT, version: 1, policy: content.policy, keys }, null, 2) + '\n';
}

/** The same on one line without braces, for an environment variable. */
export function formatRingForEnvironment(content: RingContent): string {
  return toBase64url(new TextEncoder().encode(JSON.stringify(JSON.parse(formatRing(content)))));
}

/**
 * Reads a ring from an environment.
 *
 * @param environment - `process.env`, or an edge worker's bindings
 * @throws SessionError `bad-ring` when the variable is missing or not a ring
 * @example
 * const ring = new KeyRing(ringFromEnvironment(process.env));
 */
export function ringFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  name: string = ENVIRONMENT_VARIABLE,
): RingContent {
  const text = environment[name];
  if (text === undefined || text === '') {
    throw bad(`the variable ${name}`, 'is not set: put the output of "understudy keys export" there');
  }
  return parseRing(text);
}
