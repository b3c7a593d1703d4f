/**
 * High-water marks in Redis: for several servers. One round trip per opening,
 * and one key per session that lives, of about 140 bytes, which goes by itself
 * when the session can no longer open.
 */
import type { HighWater, Mark } from '../high-water.js';
import { SessionError } from '../errors.js';

/**
 * Compares and raises in one indivisible step (Redis runs scripts alone).
 * KEYS[1] the session's key; ARGV: counter, window, milliseconds to live.
 * A mark is kept when the seal is refused or not newer. Counters stay below
 * 2^48: exact in Lua's numbers.
 */
const RAISE = `
local mark = redis.call('GET', KEYS[1])
local counter = tonumber(ARGV[1])
if mark then
  mark = tonumber(mark)
  if counter < mark - tonumber(ARGV[2]) then return 0 end
  if counter <= mark then return 1 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
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
  let script: Promise<string> | undefined;

  /** The script's name in the server: loaded once, and again when the server has lost it. */
  const load = (): Promise<string> => {
    script ??= send(['SCRIPT', 'LOAD', RAISE]).then(String);
    // A failure is for whoever waits for this one; the next try starts afresh.
    script.catch(() => (script = undefined));
    return script;
  };

  const run = async (args: string[]): Promise<unknown> => {
    try {
      return await send(['EVALSHA', await load(), '1', ...args]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      script = undefined;
      return send(['EVALSHA', await load(), '1', ...args]);
    }
  };

  return {
    async raise(mark: Mark, window: number, now: number): Promise<boolean> {
      const life = Math.max(1, Math.ceil(mark.expires - now));
      const answer = await run([`${prefix}${mark.id}`, String(mark.counter), String(window), String(life)]);
      const accepted = Number(answer);
      if (accepted !== 0 && accepted !== 1) {
        throw new SessionError('high-water', `Redis answered ${JSON.stringify(answer)} where 0 or 1 was expected`);
      }
      return accepted === 1;
    },
  };
}
