/** Values of options of `domain run` that are more than a text. */
import type { Limits } from '../../../index.js';
import { LIMITS, type LimitName } from '../../../domain/tree/program.js';
import { UsageError } from '../usage.js';

/** Throws UsageError. */
export function parseEnv(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new UsageError(`--env: "${text}" is no NAME=VALUE`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** Throws UsageError. */
export function parseLimits(list: readonly string[]): Limits {
  const value = (text: string): number => (text === 'unlimited' ? Infinity : /^\d+$/.test(text) ? Number(text) : NaN);
  return Object.fromEntries(
    list.map((text): [LimitName, { soft: number; hard: number }] => {
      const [, name = '', soft = '', hard = soft] = /^([a-z]+)=(\w+)(?::(\w+))?$/.exec(text) ?? [];
      const [s, h] = [value(soft), value(hard)];
      const isLimit = (n: string): n is LimitName => (LIMITS as readonly string[]).includes(n);
      if (!isLimit(name) || Number.isNaN(s) || Number.isNaN(h)) {
        throw new UsageError(`--limit: "${text}" is no limit such as nofile=1024:4096; there are ${LIMITS.join(', ')}`);
      }
      return [name, { soft: s, hard: h }];
    }),
  );
}
