/**
 * High-water marks in Redis: for several servers. One round trip per opening,
 * and one key per session that lives, of about 140 bytes, which goes by itself
 * when the session can no longer open. Identities that were logged out
 * everywhere have a key each for as long as a session may live.
 *
 *   session-mark:<session id>                                  counter
 *   session-mark:identity:["purpose","audience"]<identity>     generation
 */
import type { HighWater, Mark } from '../high-water.js';
import { SessionError } from '../errors.js';
import { MAX_UINT48 } from '../format.js';

/**
 * Compares and raises in one indivisible step (Redis runs scripts alone).
 * KEYS[1] the session's key; ARGV: counter, window, milliseconds to live.
 * A mark is kept when the seal is refused or not newer, and never gets a shorter
 * life than it had. Counters stay below 2^48: exact in Lua's numbers.
 */
const RAISE = `
local mark = redis.call('GET', KEYS[1])
local counter = tonumber(ARGV[1])
if mark then
  mark = tonumber(mark)
  if counter < mark - tonumber(ARGV[2]) then return 0 end
  if counter <= mark then return 1 end
end
local life = math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', life))
return 1
`;

/**
 * The next generation of an identity. KEYS[1] its key; ARGV: now, milliseconds
 * to live. Lua would write a number this large with an exponent.
 */
const END_IDENTITY = `
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local next = string.format('%.0f', math.max(tonumber(ARGV[1]), last + 1))
redis.call('SET', KEYS[1], next, 'PX', ARGV[2])
return next
`;

/**
 * Sends one command and resolves to the answer.
 *
 * @example
 * const send: RedisSend = (args) => client.sendCommand(args); // node-redis
 * const send: RedisSend = ([name, ...args]) => client.call(name, ...args); // ioredis
 */
export type RedisSend = (args: string[]) => Promise<unknown>;

/** How the marks are kept. */
export interface RedisOptions {
  /** Before the session's id in each key. Default `session-mark:`. */
  readonly prefix?: string;
}

/** Marks in Redis: the answer always comes later. */
export interface RedisHighWater extends HighWater {
  raise(mark: Mark, window: number, now: number): Promise<boolean>;
  generation(identity: string, now: number): Promise<number>;
  endIdentity(identity: string, expires: number, now: number): Promise<number>;
}

/** A script that the server knows by a name of its own. */
class Script {
  readonly #send: RedisSend;
  readonly #text: string;
  #name: Promise<string> | undefined;

  constructor(send: RedisSend, text: string) {
    this.#send = send;
    this.#text = text;
  }

  /** Loaded once, and again when the server has lost it. */
  #load(): Promise<string> {
    const name = (this.#name ??= this.#send(['SCRIPT', 'LOAD', this.#text]).then(String));
    // A failure is for whoever waits for this one; the next try starts afresh.
    name.catch(() => {
      if (this.#name === name) this.#name = undefined;
    });
    return name;
  }

  async run(key: string, ...args: string[]): Promise<unknown> {
    try {
      return await this.#send(['EVALSHA', await this.#load(), '1', key, ...args]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      this.#name = undefined;
      return this.#send(['EVALSHA', await this.#load(), '1', key, ...args]);
    }
  }
}

function whole(answer: unknown, most: number): number {
  const number = answer === null ? 0 : Number(answer);
  if (Number.isInteger(number) && number >= 0 && number <= most) return number;
  throw new SessionError('high-water', `Redis answered ${JSON.stringify(answer)} where a number was expected`);
}

/**
 * High-water marks in Redis.
 *
 * @example
 * const store = redisHighWater((args) => client.sendCommand(args));
 * const sessions = createSessions({ ring, purpose: 'shop', highWater: { store } });
 */
export function redisHighWater(send: RedisSend, options: RedisOptions = {}): RedisHighWater {
  const prefix = options.prefix ?? 'session-mark:';
  const raise = new Script(send, RAISE);
  const end = new Script(send, END_IDENTITY);
  const lifeUntil = (expires: number, now: number) => String(Math.max(1, Math.ceil(expires - now)));
  const keyOf = (identity: string) => `${prefix}identity:${identity}`;

  return {
    async raise(mark: Mark, window: number, now: number): Promise<boolean> {
      const life = lifeUntil(mark.expires, now);
      const answer = await raise.run(`${prefix}${mark.id}`, String(mark.counter), String(window), life);
      if (answer === null) throw new SessionError('high-water', 'Redis answered nothing');
      return whole(answer, 1) === 1;
    },
    generation: async (identity: string) => whole(await send(['GET', keyOf(identity)]), MAX_UINT48),
    endIdentity: async (identity: string, expires: number, now: number) =>
      whole(await end.run(keyOf(identity), String(now), lifeUntil(expires, now)), MAX_UINT48),
  };
}
