/** Cgroups that a domain made below its own: which there are, and who is in them. */
import type { Hands } from '../../guest/hands/hands.js';
import { DomainError, unsupported } from '../errors.js';
import { readDirs, readTexts } from '../linux/os.js';

/** More than a domain may have, in number and in depth: a guest that shows more is not followed. */
const MOST_BELOW = 2000;
const MOST_DEEP = 64;

/** How many cgroups below `cgroup.stat` tells of. */
export const countBelow = (stat: string | undefined): number =>
  Number(/^nr_descendants (\d+)$/m.exec(stat ?? '')?.[1] ?? 0);

/** Paths of the cgroups below one, parents before children. Those that go meanwhile are left out. `count`: how many there were just now. */
export async function cgroupsBelow(hands: Hands, path: string, count: number): Promise<string[]> {
  const likely = await walk(hands, path, (name) => !FILES.test(name));
  // A folder may be named as the files of a controller are that is not at work here.
  return likely.length < count ? walk(hands, path, () => true) : likely;
}

async function walk(hands: Hands, path: string, isLikely: (name: string) => boolean): Promise<string[]> {
  const all: string[] = [];
  let level = [path];
  for (let deep = 0; level.length > 0; deep++) {
    if (deep === MOST_DEEP || all.length > MOST_BELOW) throw unsupported(`more than ${MOST_BELOW} cgroups`, path);
    // What is no folder cannot be opened as one; the files of a cgroup are named CONTROLLER.WHAT.
    const entries = await readDirs(hands, level);
    const candidates = level.flatMap((at, i) => (entries[i] ?? []).filter(isLikely).map((name) => `${at}/${name}`));
    const types = await readTexts(
      hands,
      candidates.map((c) => `${c}/cgroup.type`),
      1,
    );
    level = candidates.filter((_, i) => types[i] !== undefined);
    all.push(...level);
  }
  return all;
}

/** Names of the kernel's files in a cgroup. */
const FILES = /^(cgroup|memory|pids|cpu|cpuset|io|hugetlb|rdma|misc|irq|dmem|debug|perf_event)\./;

/** Ids of the processes in some cgroups, each once. A threaded one does not tell: its processes are its domain's. */
export async function processesIn(hands: Hands, paths: readonly string[]): Promise<number[]> {
  const texts = await readTexts(
    hands,
    paths.map((p) => `${p}/cgroup.procs`),
    1,
  );
  return [...new Set(texts.flatMap((text) => idsOf(text ?? '')))];
}

export const idsOf = (text: string): number[] =>
  text
    .split('\n')
    .filter((l) => l !== '')
    .map(Number);

/** Where a thread is, from the text of its `/proc/…/cgroup`. Throws `unsupported` if it is in one of version 1, too. */
export function pathInHierarchy(text: string, where: string): string {
  let path: string | undefined;
  for (const line of text.split('\n')) {
    const m = /^(\d+):([^:]*):(.*)$/.exec(line);
    if (m === null) continue;
    if (m[1] === '0') path = m[3];
    else if (m[3] !== '/') throw unsupported('a cgroup of version 1', where);
  }
  if (path === undefined) throw new DomainError('lost', `${where} is in no cgroup`);
  return path;
}

/** As {@link pathInHierarchy}, from the domain's own cgroup; empty: that one. Throws `unsupported` for one outside. */
export function pathBelow(text: string | undefined, own: { readonly path: string }, where = 'process 1'): string {
  const name = own.path.slice(own.path.lastIndexOf('/'));
  const path = pathInHierarchy(text ?? '', where);
  if (path !== name && !path.startsWith(`${name}/`)) throw unsupported(OUTSIDE, where);
  return path.slice(name.length);
}

/** What is refused where a process has left the cgroup by which the domain is stopped. */
export const OUTSIDE = "a cgroup outside of the domain's";
