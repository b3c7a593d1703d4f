/**
 * The host's table of names (hosts(5)). It is read here and not through getaddrinfo: that takes a thread of the host for
 * as long as its servers are silent, cannot be given up, and does not ask the servers that the process has set.
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';

/** What was read is believed for this long (ms): a guest may ask a thousand names in a second. */
const FRESH = 1000;

export function hostsPath(): string {
  const root = process.env['SystemRoot'];
  return process.platform === 'win32' && root !== undefined
    ? join(root, 'System32', 'drivers', 'etc', 'hosts')
    : '/etc/hosts';
}

/** Lower-case names with their addresses, in the file's order. */
export type HostsTable = ReadonlyMap<string, readonly string[]>;

export function parseHosts(text: string): HostsTable {
  const table = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...names] = line.split('#')[0].trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase().replace(/\.$/, '');
      const known = table.get(key);
      if (known === undefined) table.set(key, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return table;
}

export class HostsFile {
  #table: Promise<HostsTable> | undefined;
  #readAt = 0;

  constructor(readonly path = hostsPath()) {}

  /** The addresses of a name (lower case); none if the file does not have it, or is not there. */
  async lookup(name: string, family: 4 | 6): Promise<string[]> {
    const now = performance.now();
    if (this.#table === undefined || now - this.#readAt > FRESH) {
      this.#readAt = now;
      this.#table = readFile(this.path, 'utf8').then(parseHosts, () => new Map());
    }
    return ((await this.#table).get(name) ?? []).filter((address) => isIP(address) === family);
  }
}
