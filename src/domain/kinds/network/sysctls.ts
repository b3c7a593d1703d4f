/** Settings of a network namespace (/proc/sys/net), as far as it has them for itself. */
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { AT_FDCWD, CLONE, EACCES, O } from '../../linux/flags.js';
import { inside } from '../../linux/inside.js';
import { direntNames } from '../../linux/os.js';
import { together } from '../../together.js';
import type { Within } from './rtnetlink.js';

const ROOT = '/proc/sys/net/';
const FOLDERS = ['core', 'unix', 'ipv4', 'ipv6', 'ipv6/route', 'ipv6/icmp', 'mptcp'];
/** Folders with a folder for each interface. */
const PARENTS = ['ipv4/conf', 'ipv4/neigh', 'ipv6/conf', 'ipv6/neigh'];
/** Does something when it is written, or cannot be read before it is. */
const ACTS = /\/(flush|stable_secret)$/;
const VALUE = 512;
/** Three calls each. */
const FILES_AT_ONCE = 200;
const EPERM = 1;

export type Settings = readonly (readonly [path: string, value: string])[];

/** Names in folders of the namespace, each list empty where there is no such folder. */
function list(hands: Hands, anchor: Within, folders: readonly string[]): Promise<string[][]> {
  return inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
    const refs = folders.map((folder) => {
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(ROOT + folder), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
      const buf = b.out(0x2000);
      const n = b.call(SYS.getdents64, fd, buf, 0x2000);
      b.call(SYS.close, fd);
      return { buf, n };
    });
    return (r) => refs.map(({ buf, n }) => direntNames(r.bytes(buf, Math.max(0, r.value(n)))));
  });
}

/** All settings of the namespace, by their paths below /proc/sys/net. */
export async function readSettings(hands: Hands, anchor: Within): Promise<Settings> {
  const interfaces = await list(hands, anchor, PARENTS);
  const folders = [...FOLDERS, ...PARENTS.flatMap((p, i) => (interfaces[i] ?? []).map((name) => `${p}/${name}`))];
  const names: string[][] = [];
  for (let start = 0; start < folders.length; start += 30)
    names.push(...(await list(hands, anchor, folders.slice(start, start + 30))));
  const paths = folders.flatMap((f, i) => (names[i] ?? []).map((name) => `${f}/${name}`)).filter((p) => !ACTS.test(p));
  return readSome(hands, anchor, paths);
}

async function readSome(hands: Hands, anchor: Within, paths: readonly string[]): Promise<Settings> {
  const parts: Promise<(readonly [string, string])[]>[] = [];
  for (let start = 0; start < paths.length; start += FILES_AT_ONCE) {
    const some = paths.slice(start, start + FILES_AT_ONCE);
    parts.push(
      inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
        const refs = some.map((path) => {
          const fd = b.call(SYS.openat, AT_FDCWD, b.str(ROOT + path), O.RDONLY | O.CLOEXEC, 0);
          const buf = b.out(VALUE);
          const n = b.call(SYS.read, fd, buf, VALUE);
          b.call(SYS.close, fd);
          return { path, buf, n };
        });
        return (r) =>
          refs.flatMap(({ path, buf, n }) => {
            const length = r.value(n);
            const value = new TextDecoder().decode(r.bytes(buf, Math.max(0, length)));
            // What cannot be read, or is longer, is not a setting of somebody's.
            return length < 0 || length === VALUE ? [] : [[path, value.replace(/\n$/, '')] as const];
          });
      }),
    );
  }
  return (await together(parts)).flat();
}

/** What holds for all interfaces comes before what holds for one. */
const rank = (path: string): number =>
  path === 'ipv4/ip_forward' ? 0 : /\/all\//.test(path) ? 1 : /\/default\//.test(path) ? 2 : 3;

/** Gives the namespace the settings that another had, where both kernels have them. Throws `mismatch`. */
export async function applySettings(hands: Hands, anchor: Within, wanted: Settings): Promise<void> {
  const paths = wanted.map(([path]) => path);
  let refused: Settings = [];
  // One setting may change others: what they then are is looked at again.
  for (let turn = 0; turn < 3; turn++) {
    const there = new Map(await readSome(hands, anchor, paths));
    const differing = wanted
      .filter(([path, value]) => there.has(path) && there.get(path) !== value)
      .sort(([a], [b]) => rank(a) - rank(b));
    if (differing.length === 0) return;
    refused = await write(hands, anchor, differing);
  }
  const [first] = refused;
  if (first !== undefined)
    throw new DomainError('mismatch', `this OS instance does not take ${first[1]} for ${ROOT}${first[0]}`, {
      resource: ROOT + first[0],
    });
}

/** Answers those that were not taken, but for what nobody can write. */
async function write(hands: Hands, anchor: Within, settings: Settings): Promise<Settings> {
  const out: (readonly [string, string])[] = [];
  for (let start = 0; start < settings.length; start += FILES_AT_ONCE) {
    const some = settings.slice(start, start + FILES_AT_ONCE);
    const results = await inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
      const refs = some.map(([path, value]) => {
        const fd = b.call(SYS.openat, AT_FDCWD, b.str(ROOT + path), O.WRONLY | O.CLOEXEC, 0);
        const bytes = new TextEncoder().encode(`${value}\n`);
        const n = b.call(SYS.write, fd, b.bytes(bytes), bytes.length);
        b.call(SYS.close, fd);
        return { fd, n };
      });
      return (r) => refs.map(({ fd, n }) => (r.value(fd) < 0 ? r.value(fd) : r.value(n)));
    });
    some.forEach((s, i) => {
      const result = results[i] ?? 0;
      if (result < 0 && result !== -EACCES && result !== -EPERM) out.push(s);
    });
  }
  return out;
}
