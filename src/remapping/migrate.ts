import { HandsError } from '../guest/hands/errors.js';
import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { createAnchor, type ClockOffsets, type DomainSpec } from '../domain/tree/anchor.js';
import { checkpoint, inspectFiles, refuseUnsupported } from '../domain/checkpoint/checkpoint.js';
import { DomainError, unsupported } from '../domain/errors.js';
import { FrozenDomain } from '../domain/freeze/frozen.js';
import type { RestoreContext } from '../domain/kinds/kind.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import { CLOCK, EBADF, ENOENT, ENOMEM, ESRCH, PROT } from '../domain/linux/flags.js';
import { readText } from '../domain/linux/os.js';
import type { HeldFiles } from '../domain/linux/held-files.js';
import { readAdvice, type Advice } from '../domain/memory/advice.js';
import { carriedPaths } from '../domain/memory/carried.js';
import { compareFiles } from './compare.js';
import { intersect, normalize, total } from '../domain/memory/ranges.js';
import type { FrameMover } from '../domain/memory/mover.js';
import { holdProc, surveyProcesses, type ProcessView } from '../domain/proc/survey.js';
import { NO_VDSO, outlineProcess, stillFits, withoutObjects, type Outline } from '../domain/checkpoint/outline.js';
import { Restoration } from '../domain/restore/restore.js';
import { together } from '../domain/together.js';
import { Undo } from '../domain/undo.js';
import { lookAtSleepers } from '../domain/freeze/waits.js';

/** The network's part in a move: packets for the domain wait while it is nowhere. */
export interface NetworkGate {
  /** From now on packets to and from the domain are kept. */
  hold(): Promise<void>;
  /** Delivers what was kept to where the domain now is. */
  release(where: 'source' | 'destination'): Promise<void>;
}

export interface MigrationOptions {
  readonly domain: RunningDomain;
  readonly to: Hands;
  /** What the domain is in the destination; default: as it was. Its NIC may have another name there. */
  readonly spec?: DomainSpec;
  readonly mover: FrameMover;
  readonly gate?: NetworkGate;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Told before each step; may throw, and the move is undone. */
  readonly onStep?: (step: Step) => void | Promise<void>;
}

/** The steps of a move, in order. Up to `resume` everything can be undone. */
export const STEPS = [
  'survey',
  'prepare',
  'bear',
  'freeze',
  'describe',
  'shape',
  'files',
  'flip',
  'finish',
  'resume',
  'bury',
] as const;
/** How often a look at a domain whose processes come and go is begun again. */
const MOST_LOOKS = 20;
/** How often a domain is frozen to be moved, where what it was just doing cannot be moved. */
const MOST_ATTEMPTS = 8;
/** Errors of a look at what a running domain has that mean: not any more. */
const GONE: readonly number[] = [ENOENT, ESRCH, EBADF];
const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
export type Step = (typeof STEPS)[number];

export interface MigrationReport {
  /** What clients feel, in milliseconds. */
  readonly pauseMs: number;
  readonly pauseParts: {
    readonly freeze: number;
    readonly describe: number;
    readonly flip: number;
    readonly rebuild: number;
    readonly resume: number;
  };
  readonly framesFlipped: number;
  /** All that was copied: pages of memory that several wanted each for itself, and what kernels hold. */
  readonly bytesCopied: number;
  readonly memoryBytesCopied: number;
  /** Sockets' queues, contents of pipes and of written files. */
  readonly kernelBytesCopied: number;
  /** Bytes of memory that the domain's processes have to themselves. */
  readonly domainBytes: number;
  /** Ids in the domain, the same before and after. */
  readonly pids: readonly number[];
  /** How often the domain was frozen; more than once where it was first doing what cannot be moved. The pause is the last. */
  readonly attempts: number;
}

/** What a move ends in. */
export interface Moved {
  /** The domain as it runs in the destination. */
  readonly domain: RunningDomain;
  readonly report: MigrationReport;
}

/**
 * Moves a running domain to another OS instance. Throws; then the domain goes on where it was, and nothing
 * of it is left in the destination.
 */
export async function migrate(options: MigrationOptions): Promise<Moved> {
  let reached: Step = 'survey';
  const onStep = (step: Step): void | Promise<void> => {
    reached = step;
    return options.onStep?.(step);
  };
  for (let attempts = 1; ; attempts++) {
    try {
      return await moveOnce({ ...options, onStep }, attempts);
    } catch (e) {
      // The freeze came in the middle of what is over in a moment: the domain gets that moment.
      const passing = e instanceof DomainError && e.passing && reached !== 'survey';
      if (!passing || attempts === MOST_ATTEMPTS) throw e;
      await aMoment();
    }
  }
}

async function moveOnce(options: MigrationOptions, attempts: number): Promise<Moved> {
  const { domain, to, mover, gate, now } = options;
  const step = async (s: Step): Promise<void> => {
    await options.onStep?.(s);
  };
  const spec = options.spec ?? domain.spec;
  const undo = new Undo();
  let killed = 0;
  try {
    await step('survey');
    killed = await oomKills(to);
    const early = await lookAround(domain, to);
    const advice = await readAllAdvice(domain.hands, early);

    await step('prepare');
    let skeletonUndo = new Undo();
    undo.add('removing what was prepared', async () => {
      try {
        await skeletonUndo.run();
      } catch (e) {
        // With the destination all went that was prepared in it.
        if (!(await isGone(to))) throw e;
      }
    });
    const prepare = async (outlines: readonly Outline[]): Promise<Restoration> => {
      const clocks = await clockOffsets(domain, to);
      const avoid = outlines.flatMap((o) => o.view.vmas);
      const anchor = await createAnchor(to, spec, clocks, avoid, skeletonUndo);
      const context: RestoreContext = {
        hands: to,
        anchor,
        undo: skeletonUndo,
        mover,
        objectFds: new Map(),
        fileFds: new Map(),
        pipes: new Map(),
        advice,
        carried: new Set(),
        counters: { bytesCopied: 0 },
      };
      const restoration = new Restoration(anchor, context);
      await restoration.bear(outlines);
      const later = carriedPaths(outlines.map((o) => o.view));
      await restoration.shape(outlines.map((o) => withoutObjects(o, later)));
      return restoration;
    };
    await step('bear');
    let restoration = await prepare(early);

    const held = await holdProc(
      domain.hands,
      early.map((o) => o.view),
    );
    undo.add('closing files of /proc', () => held.close());
    const foresight = { known: early, held };
    await restoration.rehearseFlip(early);
    await new Promise<void>((resolve) => setTimeout(resolve, REST));
    await lookAgain(domain, early, held);

    await step('freeze');
    const asleep = await lookAtSleepers(domain.anchor);
    const t0 = now();
    let waiting = false;
    undo.add('releasing the network', async () => {
      if (waiting) await gate?.release('source');
    });
    const frozen = await FrozenDomain.freeze(domain.anchor, held, asleep);
    undo.add('letting the domain go on', () => frozen.resume());
    // After the freeze: an answer given between the two would be lost, and sent again only a second later.
    await gate?.hold();
    waiting = true;
    const t1 = now();

    await step('describe');
    const carry = (views: readonly ProcessView[]): Promise<void> => restoration.carryFiles(domain.hands, views);
    const image = await checkpoint(frozen, mover, foresight, carry);
    const t2 = now();

    await step('shape');
    if (!stillFits(early, image.processes)) {
      // Processes or threads came or went since the outline: what was prepared is for another tree.
      const stale = skeletonUndo;
      skeletonUndo = new Undo();
      await stale.run();
      restoration = await prepare(image.processes);
      await carry(image.processes.map((p) => p.view));
    }
    restoration.image = image;
    await restoration.makeObjects();
    await restoration.shape(image.processes);
    const { anchor, context } = restoration;
    await step('files');
    await restoration.openFiles();
    const t3 = now();
    await step('flip');
    const receipt = await restoration.flip();
    undo.add(
      'flipping the frames back',
      async () => {
        try {
          await receipt.undo();
        } finally {
          receipt.settle();
        }
      },
      true,
    );
    const t4 = now();
    await step('finish');
    await restoration.finish();
    const t5 = now();

    await step('resume');
    await restoration.resume();
    undo.forget();
    skeletonUndo.forget();
    receipt.settle();
    await gate?.release('destination');
    const t6 = now();

    await step('bury');
    await restoration.letGo();
    await image.close();
    await held.close();
    await frozen.kill();

    return {
      domain: { spec, hands: to, anchor },
      report: {
        pauseMs: t6 - t0,
        pauseParts: { freeze: t1 - t0, describe: t2 - t1, flip: t4 - t3, rebuild: t3 - t2 + t5 - t4, resume: t6 - t5 },
        framesFlipped: receipt.framesFlipped,
        bytesCopied: receipt.bytesCopied + context.counters.bytesCopied,
        memoryBytesCopied: receipt.bytesCopied,
        kernelBytesCopied: context.counters.bytesCopied,
        domainBytes: image.processes.reduce((n, p) => n + total(p.pages), 0),
        pids: image.processes.map((p) => p.view.pid),
        attempts,
      },
    };
  } catch (e) {
    await takeBack(undo, e);
    const why = e instanceof Error ? e.message : String(e);
    if (await isGone(to))
      throw new DomainError('lost', `OS instance ${to.name} ended during the move: ${why}`, { cause: e });
    if (ranOut(e) || (await oomKills(to)) > killed) {
      const message = `OS instance ${to.name} ran out of memory during the move: ${why}`;
      throw new DomainError('mismatch', message, { resource: 'memory', cause: e });
    }
    throw e;
  }
}

/** Whether the OS instance with these hands has ended. */
async function isGone(hands: Hands): Promise<boolean> {
  try {
    await hands.syscall(SYS.getpid);
    return false;
  } catch (e) {
    return e instanceof HandsError && e.code === 'gone';
  }
}

/** How many processes the kernel of an OS instance has ended for want of memory. */
async function oomKills(hands: Hands): Promise<number> {
  return Number(/^oom_kill (\d+)$/m.exec((await readText(hands, '/proc/vmstat')) ?? '')?.[1] ?? 0);
}

const ranOut = (e: unknown): boolean => e instanceof DomainError && e.code === 'guest' && e.errno === ENOMEM;

/** Memory without access is kept as address space only; contents in it would be lost. Throws `unsupported`. */
function refuseUnreadable(o: Outline): void {
  const closed = o.vmas.filter((v) => !v.shared && v.prot === PROT.NONE);
  if (intersect(o.pages, normalize(closed)).length > 0)
    throw unsupported('an unreadable mapping with contents', `process ${o.view.pid}`);
}

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
 * makes the look begin again.
 */
async function lookAround(domain: RunningDomain, to: Hands): Promise<Outline[]> {
  const { hands, anchor } = domain;
  for (let turn = 0; ; turn++) {
    const pids = await anchor.cgroup.processes();
    try {
      const all = (await surveyProcesses(hands, pids)).filter((v) => v.status.state !== 'Z');
      const anchorView = all.find((v) => v.hostPid === anchor.pid);
      if (anchorView === undefined) throw new DomainError('lost', 'the domain has ended');
      const views = all.filter((v) => v !== anchorView);
      refuseUnsupported(views, anchorView);
      await inspectFiles({ hands, anchor, views });
      await compareFiles(hands, to, views);
      const outlines: Outline[] = [];
      for (const v of views) outlines.push(await outlineProcess(hands, v));
      outlines.forEach(refuseUnreadable);
      await compareMemory(to, outlines);
      return outlines;
    } catch (e) {
      const still = new Set(await anchor.cgroup.processes());
      // A process has no memory for a moment while it executes another program; descriptors and threads come and go.
      const passing =
        e instanceof DomainError &&
        (e.passing || e.resource === NO_VDSO || (e.code === 'guest' && GONE.includes(e.errno)));
      if (turn === MOST_LOOKS || (!passing && pids.every((p) => still.has(p)))) throw e;
      if (passing) await aMoment();
    }
  }
}

/**
 * Before the freeze, in milliseconds: the engine compiles what has just been done often, on the cores that the move
 * will need.
 */
const REST = 200;

/** Looks before the one that counts. */
const REHEARSALS = 2;

/**
 * Looks at processes as it will be done when they stand still, for nothing but that the engine and the guest's kernel
 * have this way behind them. What has changed meanwhile is found out then.
 */
async function lookAgain(domain: RunningDomain, early: readonly Outline[], held: HeldFiles): Promise<void> {
  const pids = early.map((o) => o.view.hostPid);
  try {
    for (let turn = 0; turn < REHEARSALS; turn++) await surveyProcesses(domain.hands, pids, held);
  } catch (e) {
    if (!(e instanceof DomainError && e.code === 'lost')) throw e;
  }
}

async function readAllAdvice(hands: Hands, outlines: readonly Outline[]): Promise<Map<number, Advice[]>> {
  const all = await together(outlines.map(({ view }) => readAdvice(hands, view.hostPid)));
  return new Map(outlines.map(({ view }, i) => [view.pid, all[i] ?? []]));
}

/** Undoes a move that failed. Throws `undo-failed`, with the reason of the failure in its message too. */
async function takeBack(undo: Undo, reason: unknown): Promise<void> {
  try {
    await undo.run();
  } catch (e) {
    const why = reason instanceof Error ? reason.message : String(reason);
    const left = e instanceof Error ? e.message : String(e);
    throw new DomainError('undo-failed', `${why}; and taking it back: ${left}`, { cause: reason });
  }
}

const CLOCK_LOOKS = 4;

/** The domain's clocks in the destination: as if nothing had happened. */
async function clockOffsets(domain: RunningDomain, to: Hands): Promise<ClockOffsets> {
  const clocks = [CLOCK.MONOTONIC, CLOCK.BOOTTIME] as const;
  const read = async (hands: Hands): Promise<bigint[]> => {
    const b = hands.batch();
    const outs = clocks.map((c) => {
      const buf = b.out(16);
      b.call(SYS.clock_gettime, c, buf);
      return buf;
    });
    const r = await b.run();
    return outs.map((o) => {
      const view = r.view(o);
      return view.getBigInt64(0, true) * 1_000_000_000n + view.getBigInt64(8, true);
    });
  };
  // What passes between the two looks makes the offset too large, never too small, as the destination is looked at
  // first: clocks may step forward by it, never back. The best of a few looks steps least.
  let [monotonic, boottime] = [0n, 0n];
  for (let look = 0; look < CLOCK_LOOKS; look++) {
    const there = await read(to);
    const from = await read(domain.hands);
    const offset = (i: number): bigint => (from[i] ?? 0n) - (there[i] ?? 0n);
    if (look === 0 || offset(0) < monotonic) [monotonic, boottime] = [offset(0), offset(1)];
  }
  return { monotonic: domain.anchor.clocks.monotonic + monotonic, boottime: domain.anchor.clocks.boottime + boottime };
}
