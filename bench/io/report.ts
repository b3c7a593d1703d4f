/** What comes out: one object, or a table for people. */
import { CASES } from './cases.js';
import type { Mode } from './contenders.js';
import type { Result } from './measure.js';

export interface IoFindings {
  readonly cases: ReadonlyMap<string, ReadonlyMap<Mode, Result>>;
  /** Milliseconds of switches of a device. */
  readonly switches: readonly number[];
  readonly versions: Readonly<Record<string, string>>;
  readonly conditions: Readonly<Record<string, string | number>>;
  readonly missing: readonly string[];
}

const rounded = (value: number | undefined): number | null => (value === undefined ? null : Number(value.toFixed(0)));

/** What share of all switches, in percent, took no longer (ms); null if there was none. */
function percentile(switches: readonly number[], share: number): number | null {
  const sorted = [...switches].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * share) / 100))];
  return value === undefined ? null : Number(value.toFixed(3));
}

const switchTimes = (switches: readonly number[]): Record<'p50' | 'p99' | 'max', number | null> => ({
  p50: percentile(switches, 50),
  p99: percentile(switches, 99),
  max: percentile(switches, 100),
});

/** CPU for each unit while the monitor stands between, against that without it: the geometric mean over the cases. */
function interposedCpu(cases: IoFindings['cases']): number | null {
  const ratios = [...cases.values()].flatMap((results) => {
    const [direct, interposed] = [results.get('direct'), results.get('interposed')];
    return direct === undefined || interposed === undefined ? [] : [interposed.cpu / direct.cpu];
  });
  if (ratios.length === 0) return null;
  return Number(Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length).toFixed(3));
}

/** Rates are bytes or operations per second; null is what is missing. `cpuRatio`: interposed to direct, for each unit. */
export function jsonReport({ cases, switches, versions, conditions, missing }: IoFindings): object {
  return {
    cases: [...cases].map(([name, results]) => ({
      name,
      direct: rounded(results.get('direct')?.rate),
      interposed: rounded(results.get('interposed')?.rate),
      qemu: rounded(results.get('qemu')?.rate),
      cpuRatio: interposedCpu(new Map([[name, results]])),
    })),
    interposedCpu: interposedCpu(cases),
    switchMs: switchTimes(switches),
    versions,
    conditions,
    missing,
  };
}

export function tableReport({ cases, switches, versions, conditions, missing }: IoFindings): string {
  const row = (cells: readonly string[], note: string): string =>
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(18) : cell.padStart(14))).join('')}  ${note}`.trimEnd();
  const lines = [row(['case', 'direct', 'interposed', 'qemu', 'direct/qemu', 'CPU/direct'], '')];
  for (const { name, unit, about } of CASES) {
    const results = cases.get(name);
    if (results === undefined) continue;
    const [direct, interposed, qemu] = [results.get('direct'), results.get('interposed'), results.get('qemu')];
    const rate = (result: Result | undefined): string => {
      if (result === undefined) return '–';
      return unit === 'bytes' ? `${(result.rate / 1e6).toFixed(0)} MB/s` : `${result.rate.toFixed(0)} /s`;
    };
    const ratio = (a: number | undefined, b: number | undefined): string =>
      a === undefined || b === undefined ? '–' : (a / b).toFixed(2);
    const ratios = [ratio(direct?.rate, qemu?.rate), ratio(interposed?.cpu, direct?.cpu)];
    lines.push(row([name, rate(direct), rate(interposed), rate(qemu), ...ratios], about));
  }
  const { p50, p99, max } = switchTimes(switches);
  lines.push('', `CPU interposed, to direct: ${interposedCpu(cases) ?? '–'}`);
  lines.push(`a switch, ms: p50 ${p50 ?? '–'}, p99 ${p99 ?? '–'}, max ${max ?? '–'}`);
  lines.push('', ...Object.entries(versions).map(([name, version]) => `${name}: ${version}`));
  lines.push(...Object.entries(conditions).map(([name, value]) => `${name}: ${value}`));
  lines.push(...missing.map((reason) => `missing: ${reason}`));
  return `${lines.join('\n')}\n`;
}
