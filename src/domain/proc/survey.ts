import type { Hands } from '../../guest/hands/hands.js';
import { DomainError } from '../errors.js';
import { HeldFiles } from '../linux/held-files.js';
import { readDirs, readLinks, readTexts } from '../linux/os.js';
import { together } from '../together.js';
import { DELETED, tellDeleted } from './deleted.js';
import { parseFdInfo, type FdInfo } from './fdinfo.js';
import { parseMaps, type Vma } from './maps.js';
import { kernelThreads } from './kernel-threads.js';
import { tellMayWrite } from './may-write.js';
import { NAMESPACES, namespacesFrom, type Namespaces } from './namespaces.js';
import { tellQueues } from './queues.js';
import { parseProcStat, parseStatus, type ProcStat, type Status } from './status.js';

/** An open descriptor of a process, as /proc shows it. */
export interface DescriptorView {
  readonly fd: number;
  /** Where `/proc/PID/fd/FD` leads: `socket:[123]`, `/path`, `anon_inode:[eventpoll]`, … */
  readonly link: string;
  /** Its file has lost that name: the kernel has put ` (deleted)` behind it, and no file of that name is meant. */
  readonly deleted: boolean;
  readonly info: FdInfo;
  /** Where it is opened anew, if not by its name: see mounts/places.ts. */
  readonly place?: string;
}

/** The name that a descriptor's file has or had. */
export const nameOf = (d: DescriptorView): string => (d.deleted ? d.link.slice(0, -DELETED.length) : d.link);

/** A child that has ended and that its parent has not asked about. */
export interface DeadChild {
  readonly pid: number;
  /** As wait(2) tells it. */
  readonly waitStatus: number;
  readonly group: number;
  readonly session: number;
  /** What its parent was sent. */
  readonly exitSignal: number;
}

/** A thread of a process, by both its ids. */
export interface ThreadView {
  readonly hostTid: number;
  readonly tid: number;
  readonly status: Status;
}

/** Whose tables a process has: the id in the domain of the first who has them, mostly its own. */
export interface Tables {
  readonly files: number;
  readonly fs: number;
}

/** What /proc shows of one process. Ids named `host…` are those of the hands' PID namespace. */
export interface ProcessView {
  readonly hostPid: number;
  readonly pid: number;
  /** The leader first. */
  readonly threads: readonly ThreadView[];
  readonly status: Status;
  readonly stat: ProcStat;
  readonly vmas: readonly Vma[];
  readonly descriptors: readonly DescriptorView[];
  readonly cwd: string;
  readonly root: string;
  readonly exe: string;
  /** Which of these three are gone; the kernel has put ` (deleted)` behind them. */
  readonly gone: Readonly<Record<'cwd' | 'root' | 'exe', boolean>>;
  /** Where these are, where the domain has several mount namespaces: see mounts/places.ts. */
  readonly places?: Readonly<Record<'cwd' | 'root' | 'exe', string | undefined>>;
  readonly timers: string;
  readonly namespaces: Namespaces;
  readonly oomScoreAdj: number;
  /** As the files of `/proc` are named that tell it: hexadecimal; a decimal number. */
  readonly coreFilter: string;
  readonly loginUid: string;
  readonly dead: readonly DeadChild[];
  /** Children that live, by their ids in the domain, and were not among the processes to be looked at. */
  readonly strays: readonly number[];
  /** Its own, as long as it was not compared with others (checkpoint/shared-tables.ts). */
  readonly tables: Tables;
}

const PER_PROCESS = ['status', 'stat', 'timers', 'oom_score_adj', 'coredump_filter', 'loginuid'] as const;

/** What {@link surveyProcesses} will read of processes that were looked at already, opened for it. */
export function holdProc(hands: Hands, views: readonly ProcessView[]): Promise<HeldFiles> {
  const paths = views.flatMap(({ hostPid, threads, descriptors }) =>
    [
      '',
      ...PER_PROCESS.map((f) => `/${f}`),
      ...['/maps', '/auxv', '/pagemap', '/task', '/fd'],
      ...threads.flatMap((t) => [`/task/${t.hostTid}/status`, `/task/${t.hostTid}/children`]),
      ...descriptors.map((d) => `/fdinfo/${d.fd}`),
    ].map((path) => `/proc/${hostPid}${path}`),
  );
  return HeldFiles.open(hands, paths);
}

/** Reads /proc of the given processes, in a handful of batches. Throws `lost` if one is gone. */
export async function surveyProcesses(
  hands: Hands,
  hostPids: readonly number[],
  held?: HeldFiles,
): Promise<ProcessView[]> {
  const linksEach = 3 + NAMESPACES.length;
  const [texts, maps, links, dirs] = await together([
    readTexts(
      hands,
      hostPids.flatMap((p) => PER_PROCESS.map((f) => `/proc/${p}/${f}`)),
      1,
      held,
    ),
    readTexts(
      hands,
      hostPids.map((p) => `/proc/${p}/maps`),
      3,
      held,
    ),
    readLinks(
      hands,
      hostPids.flatMap((p) => [
        ...['cwd', 'root', 'exe'].map((f) => `/proc/${p}/${f}`),
        ...NAMESPACES.map((n) => `/proc/${p}/ns/${n}`),
      ]),
      held,
    ),
    readDirs(
      hands,
      hostPids.flatMap((p) => [`/proc/${p}/task`, `/proc/${p}/fd`]),
      held,
    ),
  ]);

  const tasks = hostPids
    .flatMap((p, i) => (dirs[2 * i] ?? []).map((t) => ({ p, tid: Number(t) })))
    .sort((a, b) => a.tid - b.tid);
  const fdPaths = hostPids.flatMap((p, i) => (dirs[2 * i + 1] ?? []).map((fd) => ({ p, fd })));
  const [taskTexts, children, fdLinks, fdInfos, vmas] = await together([
    readTexts(
      hands,
      tasks.map(({ p, tid }) => `/proc/${p}/task/${tid}/status`),
      1,
      held,
    ),
    otherChildren(hands, tasks, hostPids, held),
    readLinks(
      hands,
      fdPaths.map(({ p, fd }) => `/proc/${p}/fd/${fd}`),
      held,
    ),
    readTexts(
      hands,
      fdPaths.map(({ p, fd }) => `/proc/${p}/fdinfo/${fd}`),
      1,
      held,
    ),
    tellMayWrite(
      hands,
      hostPids.map((hostPid, i) => ({ hostPid, vmas: parseMaps(maps[i] ?? '') })),
    ),
  ]);

  const statuses = taskTexts.map((text) => (text === undefined ? undefined : parseStatus(text)));
  const kernels = await kernelThreads(
    hands,
    tasks.map(({ p, tid }, k) => ({ hostPid: p, tid, status: statuses[k] })),
  );
  const fdsOf = indicesBy(fdPaths);
  const tasksOf = indicesBy(tasks);
  const views = hostPids.map((hostPid, i): ProcessView => {
    const text = (k: number): string => texts[PER_PROCESS.length * i + k] ?? '';
    if (text(0) === '' || text(1) === '') throw new DomainError('lost', `process ${hostPid} is gone`);
    const status = parseStatus(text(0));
    const link = (k: number): string => links[linksEach * i + k] ?? '';
    const descriptors: DescriptorView[] = [];
    for (const k of fdsOf.get(hostPid) ?? []) {
      const target = fdLinks[k];
      if (target === undefined) continue;
      descriptors.push({
        fd: Number(fdPaths[k]?.fd),
        link: target,
        deleted: false,
        info: parseFdInfo(fdInfos[k] ?? ''),
      });
    }
    descriptors.sort((a, b) => a.fd - b.fd);
    const pid = status.nsPid.at(-1) ?? hostPid;
    return {
      hostPid,
      pid,
      tables: { files: pid, fs: pid },
      threads: threadViews(hostPid, tasks, tasksOf.get(hostPid) ?? [], statuses, kernels),
      status,
      stat: parseProcStat(text(1)),
      vmas: vmas[i] ?? [],
      descriptors,
      cwd: link(0),
      root: link(1),
      exe: link(2),
      gone: { cwd: false, root: false, exe: false },
      timers: text(2),
      namespaces: namespacesFrom((k) => link(3 + k)),
      oomScoreAdj: Number(text(3)),
      coreFilter: text(4),
      loginUid: text(5),
      dead: children.get(hostPid)?.dead ?? [],
      strays: children.get(hostPid)?.strays ?? [],
    };
  });
  return tellDeleted(hands, await tellQueues(hands, views));
}

/** Which entries belong to each process. */
function indicesBy(entries: readonly { readonly p: number }[]): Map<number, number[]> {
  const out = new Map<number, number[]>();
  entries.forEach(({ p }, k) => {
    const own = out.get(p);
    if (own === undefined) out.set(p, [k]);
    else own.push(k);
  });
  return out;
}

/** Zombies, and children outside of what is looked at, by their parents. They are in no list of a cgroup's processes. */
async function otherChildren(
  hands: Hands,
  tasks: readonly { p: number; tid: number }[],
  alive: readonly number[],
  held: HeldFiles | undefined,
): Promise<Map<number, { readonly dead: DeadChild[]; readonly strays: number[] }>> {
  const lists = await readTexts(
    hands,
    tasks.map(({ p, tid }) => `/proc/${p}/task/${tid}/children`),
    1,
    held,
  );
  const living = new Set(alive);
  const candidates = tasks.flatMap(({ p }, k) =>
    (lists[k] ?? '')
      .split(' ')
      .filter((word) => word.trim() !== '')
      .map((word) => ({ parent: p, hostPid: Number(word) }))
      .filter((c) => !living.has(c.hostPid)),
  );
  const out = new Map<number, { dead: DeadChild[]; strays: number[] }>();
  const texts = await readTexts(
    hands,
    candidates.flatMap((c) => [`/proc/${c.hostPid}/status`, `/proc/${c.hostPid}/stat`]),
    1,
  );
  candidates.forEach(({ parent }, i) => {
    const status = parseStatus(texts[2 * i] ?? '');
    if (status.name === '') return;
    const others = out.get(parent) ?? { dead: [], strays: [] };
    out.set(parent, others);
    if (status.state !== 'Z') {
      others.strays.push(status.nsPid.at(-1) ?? -1);
      return;
    }
    const { exitCode, exitSignal } = parseProcStat(texts[2 * i + 1] ?? '');
    others.dead.push({
      pid: status.nsPid.at(-1) ?? -1,
      waitStatus: exitCode,
      exitSignal,
      group: status.nsPgid.at(-1) ?? -1,
      session: status.nsSid.at(-1) ?? -1,
    });
  });
  return out;
}

function threadViews(
  hostPid: number,
  tasks: readonly { p: number; tid: number }[],
  own: readonly number[],
  statuses: readonly (Status | undefined)[],
  kernels: ReadonlySet<number>,
): ThreadView[] {
  const views: ThreadView[] = [];
  for (const k of own) {
    const status = statuses[k];
    const tid = tasks[k]?.tid;
    if (status === undefined || tid === undefined || kernels.has(tid)) continue;
    const view = { hostTid: tid, tid: status.nsPid.at(-1) ?? tid, status };
    if (tid === hostPid) views.unshift(view);
    else views.push(view);
  }
  return views;
}
