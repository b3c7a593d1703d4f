/** What comes out: one object, or a table for people. */
import type { GuestName, ProgramFigures } from './measure.js';
import { GUESTS } from './measure.js';
import { geometricMean } from './median.js';
import { PROGRAMS } from './programs.js';

export interface Findings {
  readonly programs: readonly ProgramFigures[];
  /** CPU seconds. */
  readonly boot: Readonly<Record<GuestName, number | null>>;
  /** Bytes, after the programs. */
  readonly resident: Readonly<Record<GuestName, number | null>>;
  readonly smp: number | null;
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
  readonly conditions: Readonly<Record<string, string | number>>;
}

/** A peer's time over ours, over the programs that both ran; null when there are none. */
export function peerOverOurs(programs: readonly ProgramFigures[], peer: 'qemu' | 'v86'): number | null {
  const ratios = programs.flatMap(({ guests }) => {
    const [ours, theirs] = [guests.understudy, guests[peer]];
    return ours === null || theirs === null ? [] : [theirs.time / ours.time];
  });
  return geometricMean(ratios);
}

/** The first run's time over the later ones', over the programs that ran more than once; null when there are none. */
export function firstOverLater(programs: readonly ProgramFigures[], guest: GuestName): number | null {
  return geometricMean(programs.map(({ guests }) => guests[guest]?.first ?? NaN).filter((first) => first > 0));
}

const rounded = (value: number | null, digits = 3): number | null =>
  value === null || !Number.isFinite(value) ? null : Number(value.toFixed(digits));

/** Times are nanoseconds of CPU per iteration; null is what is missing. */
export function jsonReport(findings: Findings): object {
  const { programs, boot, resident, smp } = findings;
  const mebibytes = (name: GuestName): number | null => rounded(over(resident[name], 2 ** 20), 1);
  return {
    programs: programs.map(({ name, native, guests }) => ({
      name,
      native: rounded(native?.time ?? null, 1),
      understudy: rounded(guests.understudy?.time ?? null, 1),
      qemu: rounded(guests.qemu?.time ?? null, 1),
      v86: rounded(guests.v86?.time ?? null, 1),
      firstRun: Object.fromEntries(GUESTS.map((guest) => [guest, rounded(guests[guest]?.first ?? null)])),
    })),
    geomean: { qemu: rounded(peerOverOurs(programs, 'qemu')), v86: rounded(peerOverOurs(programs, 'v86')) },
    firstRun: Object.fromEntries(GUESTS.map((guest) => [guest, rounded(firstOverLater(programs, guest))])),
    boot: Object.fromEntries(GUESTS.map((guest) => [guest, rounded(boot[guest])])),
    rssMiB: mebibytes('understudy'),
    peersRssMiB: { qemu: mebibytes('qemu'), v86: mebibytes('v86') },
    smp: rounded(smp),
    versions: findings.versions,
    conditions: findings.conditions,
    missing: findings.missing,
  };
}

const over = (value: number | null, by: number): number | null => (value === null ? null : value / by);

/** Three significant digits with a unit. */
function duration(nanoseconds: number | undefined): string {
  if (nanoseconds === undefined) return '–';
  const units: readonly [number, string][] = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'µs'],
    [1, 'ns'],
  ];
  const [size, unit] = units.find(([u]) => nanoseconds >= u) ?? [1, 'ns'];
  return `${(nanoseconds / size).toPrecision(3)} ${unit}`;
}

const ratio = (a: number | undefined, b: number | undefined): string =>
  a === undefined || b === undefined ? '–' : (a / b).toFixed(2);

const HEADINGS = ['native', 'understudy', 'qemu', 'v86', '/ native', 'qemu /', 'v86 /', 'first run'];

export function tableReport(findings: Findings): string {
  const row = (name: string, cells: readonly string[], note = ''): string =>
    `${name.padEnd(12)}${cells.map((cell) => cell.padStart(11)).join('')}  ${note}`.trimEnd();
  const lines = [row('program', HEADINGS)];
  for (const { name, native, guests } of findings.programs) {
    const [ours, qemu, v86] = [guests.understudy, guests.qemu, guests.v86];
    const times = [native, ours, qemu, v86].map((figure) => duration(figure?.time));
    const ratios = [
      ratio(ours?.time, native?.time),
      ratio(qemu?.time, ours?.time),
      ratio(v86?.time, ours?.time),
      ours === null || Number.isNaN(ours.first) ? '–' : ours.first.toFixed(2),
    ];
    lines.push(row(name, [...times, ...ratios], PROGRAMS.find((program) => program.name === name)?.about));
  }
  const { programs, boot, resident, smp } = findings;
  const mean = (peer: 'qemu' | 'v86'): string => peerOverOurs(programs, peer)?.toFixed(2) ?? '–';
  const first = firstOverLater(programs, 'understudy')?.toFixed(2) ?? '–';
  lines.push(row('geomean', ['', '', '', '', '', mean('qemu'), mean('v86'), first], "a peer's time over ours"));
  const three = (of: (guest: GuestName) => string): string[] => ['', ...GUESTS.map(of)];
  const seconds = (guest: GuestName): string => (boot[guest] === null ? '–' : `${boot[guest].toFixed(2)} s`);
  const size = (guest: GuestName): string =>
    resident[guest] === null ? '–' : `${(resident[guest] / 2 ** 20).toFixed(0)} MiB`;
  lines.push(row('boot', three(seconds), 'CPU seconds to user space'));
  lines.push(row('resident', three(size), 'after the programs, a guest of 256 MiB'));
  lines.push(row('smp', ['', smp === null ? '–' : smp.toFixed(2)], 'throughput of two harts over one'));
  lines.push('', ...Object.entries(findings.versions).map(([name, version]) => `${name}: ${version}`));
  lines.push(...Object.entries(findings.conditions).map(([name, value]) => `${name}: ${value}`));
  lines.push(...findings.missing.map((reason) => `missing: ${reason}`));
  return `${lines.join('\n')}\n`;
}
