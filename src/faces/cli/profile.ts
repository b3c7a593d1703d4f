/** `understudy run --profile`: where guest and host time went, in words. */
import type { HartProfile } from '../../computer/hart-profile.js';
import type { HartReport } from '../../partition/assignment.js';

const PLACES = 15;

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`.padStart(10);
const count = (n: number): string => Math.round(n).toLocaleString('en').padStart(14);

/** A table for each hart. */
export function describeReports(reports: readonly HartReport[]): string {
  return [...reports]
    .sort((a, b) => a.hartId - b.hartId)
    .map((report) => describeReport(report))
    .join('');
}

function describeReport({ hartId, instructions, translator, profile }: HartReport): string {
  const lines = [`\nhart ${hartId}: ${Math.round(instructions / 1e6).toLocaleString('en')} million instructions`];
  if (profile !== undefined) {
    const mips = instructions / 1000 / Math.max(profile.running, 1);
    lines.push(
      `  guest code     ${seconds(profile.running)}   ${mips.toFixed(0)} million instructions a second`,
      `  idle           ${seconds(profile.idle)}`,
      `  SBI and hands  ${seconds(profile.serving)}   ${count(profile.sbiCalls)} calls, ${profile.rings} rings`,
      `  translating    ${seconds(translator.building + translator.compiling)}   of it ${seconds(translator.compiling).trim()} in the compiler, the optimizing one not counted`,
      `  device registers         ${count(profile.registerAccesses)} accesses`,
    );
  }
  lines.push(
    `  regions                  ${count(translator.regions)} in ${translator.modules} modules, ${(translator.bytes / 2 ** 20).toFixed(1)} MiB of WebAssembly`,
  );
  if (translator.evictions > 0) lines.push(`  regions made room       ${count(translator.evictions)} times`);
  if (profile !== undefined) lines.push(...describePlaces(profile));
  return `${lines.join('\n')}\n`;
}

function describePlaces({ samples }: HartProfile): string[] {
  const total = [...samples.values()].reduce((a, b) => a + b, 0);
  if (total === 0) return [];
  const places = [...samples].sort((a, b) => b[1] - a[1]);
  const user = places.filter(([place]) => place.startsWith('u:')).reduce((sum, [, n]) => sum + n, 0);
  const percent = (n: number): string => `${((100 * n) / total).toFixed(1)} %`.padStart(8);
  return [
    `  where instructions were executed, by ${total} samples: ${percent(user).trim()} in user mode`,
    ...places.slice(0, PLACES).map(([place, n]) => {
      const [address, mode] = place.startsWith('u:') ? [place.slice(2), 'user'] : [place, 'kernel'];
      return `  ${percent(n)}  ${mode.padEnd(6)}  ${address.padStart(16, '0')}`;
    }),
  ];
}
