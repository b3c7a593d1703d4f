/** What comes out: one object, or a table for people. */
import { CASES } from './cases.js';
import type { ContenderName } from './contenders.js';
import type { Result } from './measure.js';

export interface IoFindings {
  readonly cases: ReadonlyMap<string, ReadonlyMap<ContenderName, Result>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly conditions: Readonly<Record<string, string | number>>;
  readonly missing: readonly string[];
}

const rounded = (value: number | undefined): number | null => (value === undefined ? null : Number(value.toFixed(0)));

/** Rates are bytes or operations per second; null is what is missing. */
export function jsonReport({ cases, versions, conditions, missing }: IoFindings): object {
  return {
    cases: [...cases].map(([name, results]) => ({
      name,
      direct: rounded(results.get('understudy')?.rate),
      qemu: rounded(results.get('qemu')?.rate),
    })),
    versions,
    conditions,
    missing,
  };
}

export function tableReport({ cases, versions, conditions, missing }: IoFindings): string {
  const row = (cells: readonly string[], note: string): string =>
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(18) : cell.padStart(14))).join('')}  ${note}`.trimEnd();
  const lines = [row(['case', 'understudy', 'qemu', '/ qemu', 'CPU / qemu'], '')];
  for (const { name, unit, about } of CASES) {
    const results = cases.get(name);
    if (results === undefined) continue;
    const [ours, theirs] = [results.get('understudy'), results.get('qemu')];
    const rate = (result: Result | undefined): string => {
      if (result === undefined) return '–';
      return unit === 'bytes' ? `${(result.rate / 1e6).toFixed(0)} MB/s` : `${result.rate.toFixed(0)} /s`;
    };
    const ratio = (of: (result: Result) => number): string =>
      ours === undefined || theirs === undefined ? '–' : (of(ours) / of(theirs)).toFixed(2);
    lines.push(row([name, rate(ours), rate(theirs), ratio((r) => r.rate), ratio((r) => r.cpu)], about));
  }
  lines.push('', ...Object.entries(versions).map(([name, version]) => `${name}: ${version}`));
  lines.push(...Object.entries(conditions).map(([name, value]) => `${name}: ${value}`));
  lines.push(...missing.map((reason) => `missing: ${reason}`));
  return `${lines.join('\n')}\n`;
}
