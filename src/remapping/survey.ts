/** The look at a domain before it is moved, while it runs: what it has, and what the destination needs for it. */
import type { Hands } from '../guest/hands/hands.js';
import { inspectShared, refuseUnsupported } from '../domain/checkpoint/checkpoint.js';
import { broughtBy, foreseeShares } from '../domain/checkpoint/foresee.js';
import { haveRoom, NO_VDSO, outlineProcess, type Outline } from '../domain/checkpoint/outline.js';
import { withTables } from '../domain/checkpoint/shared-tables.js';
import { DomainError } from '../domain/errors.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import { EBADF, EFAULT, ENOENT, ESRCH } from '../domain/linux/flags.js';
import { closeAll } from '../domain/linux/making.js';
import type { HeldFiles } from '../domain/linux/held-files.js';
import { readText } from '../domain/linux/os.js';
import { readAdvice, refuseFlags, type Advice } from '../domain/memory/advice.js';
import { total } from '../domain/memory/ranges.js';
import { inTurn } from '../domain/in-turn.js';
import { refuseStuck } from '../domain/freeze/stuck.js';
import { refuseToldOpenings } from '../domain/files/told-openings.js';
import { refusingLater, type OnRefusal } from '../domain/refusals.js';
import { placeFiles } from '../domain/mounts/places.js';
import { lookAtSpaces, type MountSpace } from '../domain/mounts/spaces.js';
import { surveyProcesses, type ProcessView } from '../domain/proc/survey.js';
import { together } from '../domain/together.js';
import { Steady } from './steady.js';
import { compareFiles } from './compare.js';

/** How often a look at a domain whose processes come and go is begun again. */
const MOST_LOOKS = 20;
/** From this look on those are left out who come and go. */
const STEADY_FROM = 3;
/** What a look refuses by. */
const REFUSALS: ReadonlySet<string> = new Set(['unsupported', 'mismatch']);
/** Errors of a look at what a running domain has that mean: not any more. */
const GONE: readonly number[] = [ENOENT, ESRCH, EBADF];
export const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

/** Bytes that the destination shall have left besides: page tables, kernel objects, and what its own programs need. */
const MEMORY_TO_SPARE = 8 * 2 ** 20;

/**
 * Each page of the domain needs one in the destination to change places with. Where there are too few, its kernel
 * would end processes to have them. Throws `mismatch`.
 */
async function compareMemory(to: Hands, outlines: readonly Outline[]): Promise<void> {
  const available = /^MemAvailable: +(\d+) kB$/m.exec((await readText(to, '/proc/meminfo')) ?? '')?.[1];
  const needed = outlines.reduce((n, o) => n + total(o.pages), 0) + MEMORY_TO_SPARE;
  if (available === undefined || Number(available) * 1024 >= needed) return;
  const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  throw new DomainError(
    'mismatch',
    `OS instance ${to.name} has ${mib(Number(available) * 1024)} MiB of memory available; the domain needs ${mib(needed)} MiB there`,
    { resource: 'memory' },
  );
}

/**
 * Refuses what cannot be moved, and outlines the processes, while the domain runs: what ends while it is looked at
 * makes the look begin again. `hold`: notes descriptors of the source's hands that are closed when the move is over.
 * `before`: what an earlier look came to, of which what was foreseen stays as it is, and ids of those who are looked at.
 */
export function lookAround(
  domain: RunningDomain,
  to: Hands,
  hold: (fd: number) => void,
  before?: { readonly look: Look; readonly pids: ReadonlySet<number> },
): Promise<Look> {
  return again(domain, (whom) => look(domain, whom, hold, { to, known: before?.look }), before?.pids);
}

/** What a look comes to: the processes, and what must be in the destination before they are. */
export interface Look {
  readonly outlines: readonly Outline[];
  readonly foreseen: ReadonlyMap<string, unknown>;
  /** Files that the destination lacks and that go along. */
  readonly lacking: ReadonlySet<string>;
  /** Mount namespaces beside the domain's own. */
  readonly mountSpaces: readonly MountSpace[];
}

/** Something that is in the way of a move. */
export interface Obstacle {
  /** What it is, by name: the same as in the error of a move that it refuses. */
  readonly resource: string;
  /** What the domain has to do with it, in words. */
  readonly message: string;
  /** It may be over in a moment: a move waits for that. */
  readonly passing: boolean;
}

/**
 * Everything that is in the way of a move of a running domain, each once; nothing is changed. Two looks must agree: see
 * {@link again}. `to`: where it would go; undefined: only what the domain itself has is looked at. Throws DomainError `lost` if it is no more.
 *
 * Waits for moves from or to these OS instances, and for launches: hands that are in a domain's namespaces meanwhile would
 * be led elsewhere by the look.
 */
export function findObstacles(domain: RunningDomain, to?: Hands): Promise<Obstacle[]> {
  return inTurn(to === undefined ? [domain.hands] : [domain.hands, to], () => findNow(domain, to));
}

async function findNow(domain: RunningDomain, to: Hands | undefined): Promise<Obstacle[]> {
  const lookOnce = async (whom: Whom): Promise<DomainError[]> => {
    const refusals: DomainError[] = [];
    const kept: number[] = [];
    try {
      await look(domain, whom, (fd) => void kept.push(fd), { to, tell: (refusal) => void refusals.push(refusal) });
    } finally {
      await closeAll(domain.hands, kept);
    }
    return refusals;
  };
  const found = await again(domain, async (whom) => {
    const first = await lookOnce(whom);
    if (first.length === 0) return first;
    await aMoment();
    const second = new Set((await lookOnce(whom)).map((r) => r.message));
    return first.filter((r) => r.passing || second.has(r.message));
  });
  const all = found.map(({ resource, message, passing }) => ({ resource: resource ?? message, message, passing }));
  return [...new Map(all.map((o) => [o.message, o])).values()];
}

/** At whom one looks. */
interface Whom {
  readonly pids: readonly number[];
  /** What of them is looked at: all, or only what stays. */
  readonly staying: (views: readonly ProcessView[]) => readonly ProcessView[];
}

/** One look, at these processes. Throws the first refusal, or has `tell` told of all. */
async function look(
  { hands, anchor, spec }: RunningDomain,
  { pids, staying }: Whom,
  hold: (fd: number) => void,
  { to, tell, known }: { to?: Hands | undefined; tell?: OnRefusal; known?: Look | undefined },
): Promise<Look> {
  // One that has ended and whose threads have too is its parent's to ask about.
  const all = (await surveyProcesses(hands, pids)).filter((v) => v.status.state !== 'Z' || v.status.threads > 1);
  const anchorView = all.find((v) => v.hostPid === anchor.pid);
  const inGroup = new Set(await anchor.cgroup.processes());
  if (anchorView === undefined) {
    // A list that is read while processes come and go may lack one that is there.
    if (inGroup.has(anchor.pid)) throw new DomainError('changed', 'processes come and go', { passing: true });
    throw new DomainError('lost', 'the domain has ended');
  }
  // Whoever came meanwhile, or was left out, is no stray: when all stand still it is looked at again who is.
  const partial = pids.length < inGroup.size || !pids.every((pid) => inGroup.has(pid));
  const seen = staying(all.filter((v) => v !== anchorView)).map((v) => (partial ? { ...v, strays: [] } : v));
  let views: readonly ProcessView[] = seen;
  await refusingLater(tell, async () => {
    views = await withTables(hands, seen);
  });
  await refusingLater(tell, () => refuseStuck(hands, views));
  refuseUnsupported(views, partial ? { ...anchorView, strays: [] } : anchorView, tell);
  if (views.length === 0) throw new DomainError('lost', `domain ${spec.name} has no process left`);
  let unseen = false;
  await refusingLater(tell, async () => {
    await refuseToldOpenings(hands, anchor, views);
    unseen = true;
  });
  // Whatever else is in the way: to find it would be told.
  if (!unseen) return { outlines: [], foreseen: new Map(), lacking: new Set(), mountSpaces: [] };
  let mountSpaces: readonly MountSpace[] = [];
  await refusingLater(tell, async () => {
    mountSpaces = await lookAtSpaces({ hands, anchor, views, hold }, known?.mountSpaces);
    views = await placeFiles({ hands, anchor }, views, mountSpaces);
  });
  await inspectShared({ hands, anchor, views, mountSpaces, files: [], inside: new Map() }, tell);
  let foreseen: ReadonlyMap<string, unknown> = known?.foreseen ?? new Map();
  await refusingLater(tell, async () => {
    if (known === undefined)
      foreseen = await foreseeShares({ hands, anchor, views, mountSpaces, files: [], inside: new Map(), hold });
  });
  const lacking =
    to === undefined
      ? new Set<string>()
      : await compareFiles(hands, to, views, broughtBy(foreseen), spec.root ?? '', tell);
  const outlines = await together(views.map((v) => outlineProcess(hands, v)));
  if (tell !== undefined) await refusingLater(tell, () => readAllAdvice(hands, outlines).then(() => undefined));
  if (to !== undefined) await refusingLater(tell, () => compareMemory(to, outlines));
  return { outlines, foreseen, lacking, mountSpaces };
}

/**
 * Looks, and again as long as something ends or is in between while it is looked at. Where there is always somebody who
 * ends, such as a shell's commands, those that came since the first look are left out: whoever of them is there when all
 * stand still is looked at then. The same is done, in every second look, with files that are opened and closed all the time.
 *
 * What is in between while it is looked at can look like something that cannot be moved, such as a folder that a process has
 * left between two questions. So a refusal is believed when the next look says the same.
 *
 * `among`: only these are looked at.
 */
async function again<T>(
  { anchor, spec }: RunningDomain,
  look: (whom: Whom) => Promise<T>,
  among?: ReadonlySet<number>,
): Promise<T> {
  let always: readonly number[] | undefined;
  const steady = new Steady();
  let refused: string | undefined;
  for (let turn = 0; ; turn++) {
    const all = await anchor.cgroup.processes();
    const pids = among === undefined ? all : all.filter((pid) => among.has(pid));
    always = always?.filter((pid) => pids.includes(pid)) ?? pids;
    if (pids.includes(anchor.pid)) always = [...new Set([anchor.pid, ...always])];
    const late = turn >= STEADY_FROM;
    // In turns with all of them: what is left out may be missed.
    const leaveOut = late && turn % 2 === 1;
    try {
      return await look({ pids: late ? always : pids, staying: (views) => steady.of(views, leaveOut) });
    } catch (e) {
      const still = new Set(await anchor.cgroup.processes());
      // A process has no memory for a moment while it executes another program; descriptors and threads come and go.
      const passing =
        e instanceof DomainError &&
        (e.passing || e.resource === NO_VDSO || (e.code === 'guest' && GONE.includes(e.errno)));
      const isGone = passing && e.code === 'guest';
      const isNew = e instanceof DomainError && REFUSALS.has(e.code) && e.message !== refused;
      if (e instanceof DomainError) refused = e.message;
      if (isNew && !passing && turn < MOST_LOOKS) {
        await aMoment();
        continue;
      }
      if (turn === MOST_LOOKS && (isGone || !pids.every((p) => still.has(p)))) throw comesAndGoes(spec.name, e);
      if (turn === MOST_LOOKS || (!passing && pids.every((p) => still.has(p)))) throw e;
      if (passing) await aMoment();
    }
  }
}

function comesAndGoes(name: string, cause: unknown): DomainError {
  const message = `processes or files of domain ${name} come and go faster than they can be looked at`;
  return new DomainError('changed', message, { resource: 'what comes and goes', passing: true, cause });
}

/** Looks before the one that counts. */
const REHEARSALS = 2;

/** How processes differ from those that were made ready for: there are others besides, or some are not there any more. */
export type Change = 'more' | 'other';

/**
 * Looks at processes as it will be done when they stand still, so that the engine and the guest's kernel have this way
 * behind them. Answers whether they are the same, with the same threads: what has changed after that is found out then.
 */
export async function lookAgain(
  domain: RunningDomain,
  early: readonly Outline[],
  held: HeldFiles,
): Promise<Change | undefined> {
  const pids = early.map((o) => o.view.hostPid);
  let views: readonly ProcessView[] = [];
  try {
    for (let turn = 0; turn < REHEARSALS; turn++) views = await surveyProcesses(domain.hands, pids, held);
  } catch (e) {
    if (!(e instanceof DomainError && e.code === 'lost')) throw e;
    return 'other';
  }
  const threads = new Map((await domain.anchor.cgroup.processes()).map((pid): [number, number[]] => [pid, []]));
  threads.delete(domain.anchor.pid);
  for (const v of views) threads.get(v.hostPid)?.push(...v.threads.map((t) => t.hostTid));
  const room = haveRoom(
    early.map((o) => o.view),
    views,
  );
  return room ? changeOf(early, threads) : 'other';
}

/** `threads`: ids of threads, by those of processes, all in the hands' PID namespace. */
export function changeOf(
  early: readonly Outline[],
  threads: ReadonlyMap<number, readonly number[]>,
): Change | undefined {
  const tids = new Set([...threads.values()].flat());
  if (!early.every((o) => threads.has(o.view.hostPid) && o.view.threads.every((t) => tids.has(t.hostTid))))
    return 'other';
  const known = early.reduce((n, o) => n + o.view.threads.length, 0);
  return threads.size === early.length && tids.size === known ? undefined : 'more';
}

export async function readAllAdvice(hands: Hands, outlines: readonly Outline[]): Promise<Map<number, Advice[]>> {
  const all = await together(outlines.map(({ view }) => readAdvice(hands, view.hostPid)));
  outlines.forEach(({ view }, i) => refuseFlags(all[i] ?? [], `process ${view.pid}`));
  return new Map(outlines.map(({ view }, i) => [view.pid, all[i] ?? []]));
}

/**
 * Shapes processes as they were seen while they ran. Mappings and pages are of two moments: where a program was being started in
 * between, pages may be told of behind the end of a file that was mapped there before. Throws `changed` then.
 */
export async function asOfOneMoment(domain: string, shape: () => Promise<void>): Promise<void> {
  try {
    await shape();
  } catch (cause) {
    if (!(cause instanceof DomainError && cause.code === 'guest' && cause.errno === EFAULT)) throw cause;
    const resource = 'processes that come and go';
    const message = `a process of domain ${domain} was changing its memory: ${cause.message}`;
    throw new DomainError('changed', message, { resource, passing: true, cause });
  }
}
