import type { Hands } from '../../guest/hands/hands.js';
import { readLinks } from '../linux/os.js';

/** Names of namespaces, as `/proc/PID/ns` has them. */
export const NAMESPACES = [
  'pid',
  'pid_for_children',
  'mnt',
  'net',
  'ipc',
  'uts',
  'time',
  'time_for_children',
  'user',
  'cgroup',
] as const;

/** By name: what the link says, such as `uts:[4026532279]`. */
export type Namespaces = Readonly<Record<string, string>>;

export const namespacesFrom = (link: (k: number) => string): Namespaces =>
  Object.fromEntries(NAMESPACES.map((name, k) => [name, link(k)]));

/** The namespaces that a process is in. */
export async function namespacesOf(hands: Hands, hostPid: number): Promise<Namespaces> {
  const links = await readLinks(
    hands,
    NAMESPACES.map((name) => `/proc/${hostPid}/ns/${name}`),
  );
  return namespacesFrom((k) => links[k] ?? '');
}
