/** What a machine answers about domains, for people. What comes is checked here as far as it is used. */
import { isObject, type JsonObject } from '../control/lines.js';
import { list, object, table, text } from '../control/showing.js';

const time = (value: unknown): string => text(value).replace('T', ' ').replace(/\..*/, '');

export function showDomains({ instances, domains }: JsonObject): string {
  const there = list(instances)
    .map(object)
    .map(({ name, kernel }) => `${text(name)}: Linux ${text(kernel)}`);
  const rows = [['domain', 'in', 'since', 'address', 'processes']];
  for (const one of list(domains).map(object)) {
    const { name, instance, since, address, processes, end } = one;
    const own = list(processes)
      .map(object)
      .map((p) => `${text(p['name'])} (${text(p['pid'])})`);
    const short = own.length > 6 ? [...own.slice(0, 6), `and ${own.length - 6} more`] : own;
    rows.push([
      text(name),
      text(instance),
      time(since),
      text(address),
      isObject(end) ? showEnd(end) : short.join(', '),
    ]);
  }
  return `${there.join('\n')}\n${rows.length === 1 ? 'no domains\n' : table(rows)}`;
}

export function showEnd({ kind, status, signal, message }: JsonObject): string {
  if (kind === 'exited') return `ended with status ${text(status)}`;
  return kind === 'killed' ? `ended by signal ${text(signal)}` : text(message);
}

export function showCheck({ domain, movable, to, obstacles }: JsonObject): string {
  const where = typeof to === 'string' ? ` to ${to}` : '';
  const lines = list(obstacles)
    .map(object)
    .map(
      (o) =>
        `  ${text(o['message'])} (since ${time(o['since'])}${o['passing'] === true ? '; may be over in a moment' : ''})`,
    );
  const head = `${text(domain)} ${movable === true ? 'could' : 'cannot'} move${where}`;
  return `${[lines.length === 0 ? head : `${head}:`, ...lines].join('\n')}\n`;
}

export function showMoved({ domain, from, to, kernel, pauseMs, untidied }: JsonObject): string {
  const pause = typeof pauseMs === 'number' ? `${pauseMs.toFixed(0)} ms` : '–';
  const left = list(untidied)
    .map(object)
    .map((u) => `  left undone: ${text(u['what'])}: ${text(u['why'])}`);
  const head = `${text(domain)} has moved from ${text(from)} to ${text(to)}, Linux ${text(kernel)}; it stood still for ${pause}`;
  return `${[head, ...left].join('\n')}\n`;
}

export function showStarted({ domain, started, instance, forwards }: JsonObject): string {
  const ports = list(forwards)
    .map(object)
    .map((f) => `, ${text(f['host'])}:${text(f['port'])} leads to its port ${text(f['guestPort'])}`);
  return `${text(domain ?? started)} runs in ${text(instance)}${ports.join('')}\n`;
}
