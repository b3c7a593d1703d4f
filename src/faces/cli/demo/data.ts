/** What is put into Redis, and how it is known again: every value can be made anew from its number. */

/** Together with Redis's header this fills a size class of its allocator (16 KiB) nearly whole. */
const VALUE_SIZE = 16_000;
/** Commands on their way at one time. */
const AT_ONCE = 32;
const MIB = 2 ** 20;
/** No value is a shift of another by chance: the noise is longer than a value and read from a place of its own. */
const NOISE_SIZE = 2 ** 20;

/** What data are written through. */
export interface Redis {
  /** `OK` when it is set. */
  set(key: string, value: string): Promise<unknown>;
  get(key: string): Promise<unknown>;
}

export class DataSet {
  readonly keys: number;
  readonly #noise: string;

  /** `mebibytes`: of values; keys and Redis's own bookkeeping come on top. */
  constructor(mebibytes: number, seed: number) {
    this.keys = Math.ceil((mebibytes * MIB) / VALUE_SIZE);
    this.#noise = noise(NOISE_SIZE + VALUE_SIZE, seed);
  }

  key(i: number): string {
    return `key:${i}`;
  }

  value(i: number): string {
    const head = `${i}:`;
    const at = (i * 104_729) % NOISE_SIZE;
    return head + this.#noise.slice(at, at + VALUE_SIZE - head.length);
  }

  /** Writes every key. `onDone` is told how many are written. */
  fill(client: Redis, onDone: (keys: number) => void): Promise<number> {
    return this.#each(onDone, async (i) => (await client.set(this.key(i), this.value(i))) === 'OK');
  }

  /** Reads every key; answers how many hold what was written. */
  verify(client: Redis, onDone: (keys: number) => void): Promise<number> {
    return this.#each(onDone, async (i) => (await client.get(this.key(i))) === this.value(i));
  }

  /** Answers for how many `work` answered true. */
  async #each(onDone: (keys: number) => void, work: (i: number) => Promise<boolean>): Promise<number> {
    let next = 0;
    let good = 0;
    let done = 0;
    const lane = async (): Promise<void> => {
      while (next < this.keys) {
        const i = next++;
        if (await work(i)) good++;
        onDone(++done);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return good;
  }
}

/** Printable noise: xorshift32, six bits a character. */
function noise(length: number, seed: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  let x = seed | 1;
  const chars = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    chars[i] = alphabet.charCodeAt((x >>> 8) & 63);
  }
  return new TextDecoder('latin1').decode(chars);
}
