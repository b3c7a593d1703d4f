/** What a machine answers, for people. What comes is checked here as far as it is used. */
import type { JsonObject } from '../control/lines.js';
import { list, object, table, text } from '../control/showing.js';

const ms = (value: unknown): string => (typeof value === 'number' ? `${value.toFixed(value < 1 ? 3 : 2)} ms` : '–');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);

export function showDevices({ machine, devices }: JsonObject): string {
  const rows = [['device', 'kind', 'driven', 'user', 'switches', 'monitor ran', 'it stays because']];
  for (const one of list(devices).map(object)) {
    const { interposed, steppedAway, monitorEntries } = object(one['counters']);
    const switches = number(interposed) + number(steppedAway);
    const uses = list(one['uses']).map(text).join(', ');
    rows.push([one['id'], one['kind'], one['mode'], one['user'], switches, monitorEntries, uses].map(text));
  }
  return `machine ${text(machine)}\n${table(rows)}`;
}

export function showSwitch({ device, mode, waitMs, switchMs }: JsonObject): string {
  return `${text(device)} is ${text(mode)}: waited ${ms(waitMs)}, switched in ${ms(switchMs)}\n`;
}

/** A request of a disk. */
export function showRecord(record: JsonObject): string {
  const { at, kind, sector, sectors, ok } = record;
  const where = kind === 'flush' ? '' : ` sector ${text(sector)} +${text(sectors)}`;
  return `${(number(at) / 1000).toFixed(3)} ${text(kind)}${where} ${ms(record['ms'])}${ok === false ? ' I/O error' : ''}\n`;
}

export function showCounts({ counts, frames, bytes }: JsonObject): string {
  const all = (values: unknown): string =>
    Object.entries(object(values))
      .map(([name, value]) => `${name} ${text(value)}`)
      .join(', ');
  const lines = [`${frames === undefined ? 'requests' : 'by kind'}: ${all(counts)}`];
  if (frames !== undefined) lines.push(`frames: ${all(frames)}`);
  return `${[...lines, `bytes: ${all(bytes)}`].join('\n')}\n`;
}

export function showProgress({ copied, total, dirty }: JsonObject): string {
  const mb = (value: unknown): string => (number(value) / 1e6).toFixed(1);
  return `copied ${mb(copied)} MB of ${mb(total)} MB, ${mb(dirty)} MB to go`;
}

export function showMove({ device, bytes, rounds, switchMs }: JsonObject): string {
  return `${text(device)} has moved: ${(number(bytes) / 1e6).toFixed(1)} MB in ${text(rounds)} rounds, it stood still for ${ms(switchMs)}\n`;
}
