import type { Hands } from '../guest/hands/hands.js';
import type { DomainSpec } from '../domain/tree/anchor.js';
import { DomainError } from '../domain/errors.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import { ENOMEM } from '../domain/linux/flags.js';
import { readText } from '../domain/linux/os.js';
import { total } from '../domain/memory/ranges.js';
import type { FrameMover } from '../domain/memory/mover.js';
import { stillFits } from '../domain/checkpoint/outline.js';
import { Undo } from '../domain/undo.js';
import { inTurn } from '../domain/in-turn.js';
import { changed, Preparation } from './preparation.js';
import { canWait, comeToRest, firstTry, MOST_ATTEMPTS, tryAgain, type Tries } from './standstill.js';
import { aMoment } from './survey.js';
import { reasonOf, Tidying, type Untidied } from './tidying.js';

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
  /** Told before each step; may throw, and the move is undone. Before `bury` it is done already, and only the report tells of it. */
  readonly onStep?: (step: Step) => void | Promise<void>;
}

/** The steps of a move, in order. Up to `resume` everything can be undone; `bury` cannot fail any more. */
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
/**
 * Before the freeze, in milliseconds: the engine compiles what has just been done often, on the cores that the move
 * will need.
 */
const REST = 200;

/** How often it is tried to end the original: it is in nobody's way, but it takes its place. */
const MOST_TRIES = 3;
/** A step of a move, in the order of `STEPS`. */
export type Step = (typeof STEPS)[number];
/** In these the domain runs as ever. */
const BEFORE_FREEZE: readonly Step[] = ['survey', 'prepare', 'bear'];

/** What a move did, and how long it took. */
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
  /** Why each of the others was given up: what it was doing, or what would not stand still in time. */
  readonly frozenAgain: readonly string[];
  /** What could not be put in order after the domain had gone on in the destination; usually nothing. */
  readonly untidied: readonly Untidied[];
}

/** What a move ends in. */
export interface Moved {
  /** The domain as it runs in the destination. */
  readonly domain: RunningDomain;
  readonly report: MigrationReport;
}

/**
 * Moves a running domain to another OS instance.
 *
 * Up to the one write with which all of the domain goes on in the destination, whatever fails is undone: this throws, the
 * domain goes on where it was, and nothing of it is left in the destination. From that write on the move is done: this
 * answers, and what could not be tidied is in the report. Two codes of a DomainError say that the domain goes on
 * nowhere: `ended`, for it went down with the OS instance that it was in, the destination after that write, the source
 * before; and `undo-failed`.
 *
 * Moves from or to the same OS instance wait for each other: each pauses its domain for as long as it would alone.
 */
export function migrate(options: MigrationOptions): Promise<Moved> {
  return inTurn([options.domain.hands, options.to], () => tryToMove(options));
}

async function tryToMove(options: MigrationOptions): Promise<Moved> {
  let reached: Step = 'survey';
  const onStep = (step: Step): void | Promise<void> => {
    reached = step;
    return options.onStep?.(step);
  };
  for (const tries = firstTry(); ;) {
    try {
      return await moveOnce({ ...options, onStep }, tries);
    } catch (e) {
      // The freeze came in the middle of what is over in a moment: the domain gets that moment.
      const passing = e instanceof DomainError && e.passing && reached !== 'survey';
      if (!passing || tries.attempts >= MOST_ATTEMPTS || tries.preparations >= MOST_ATTEMPTS) throw e;
      if (BEFORE_FREEZE.includes(reached)) tries.preparations++;
      else tryAgain(tries, e);
      await aMoment();
    }
  }
}

async function moveOnce(options: MigrationOptions, tries: Tries): Promise<Moved> {
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
    const ready = new Preparation({ domain, to, spec, mover }, undo);
    await ready.lookAround();

    await step('prepare');
    await ready.layGround();
    const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, REST));
    const standstill = await comeToRest(options, ready, tries, undo, step, rest);
    const { frozen, image, began: t0, froze: t1, described: t2 } = standstill;

    await step('shape');
    if (!ready.ground.fits(image.shares)) {
      if (canWait(tries.attempts)) throw changed(spec, 'mounts or namespaces');
      await ready.prepareAnew(image);
    } else if (!stillFits(ready.look.outlines, image.processes)) await ready.bearAnew(image);
    const { restoration } = ready;
    restoration.image = image;
    await restoration.makeShared();
    await restoration.part();
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
    await restoration.activate();
    const unsure = await restoration.resume();
    // From here on nothing throws but that the domain is no more.
    undo.forget();
    ready.forget();
    const tidying = new Tidying();
    if (unsure !== undefined) tidying.note('letting the domain go on', unsure);
    await tidying.do('releasing the network', () => gate?.release('destination'));
    const t6 = now();
    await tidying.do('letting the other frames go', () => receipt.settle());
    await tidying.do('telling of the step bury', () => step('bury'));
    await tidying.do('closing what restored the domain', () => restoration.letGo());
    await tidying.do('closing what was held of the original', () => image.close());
    await tidying.do('closing what was held since the first look', () => ready.letGo());
    await tidying.do('closing files of /proc', () => ready.closeProc());
    await tidying.do('ending the original', () => frozen.kill(), MOST_TRIES);
    if (await to.hasEnded()) throw ended(spec, to);

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
        attempts: tries.attempts,
        frozenAgain: tries.reasons,
        untidied: tidying.untidied,
      },
    };
  } catch (e) {
    if (e instanceof DomainError && e.code === 'ended') throw e;
    await takeBack(undo, domain, e);
    if (await domain.hands.hasEnded()) throw ended(domain.spec, domain.hands, e);
    const why = reasonOf(e);
    if (await to.hasEnded())
      throw new DomainError('lost', `OS instance ${to.name} ended during the move: ${why}`, { cause: e });
    if (ranOut(e) || (await oomKills(to)) > killed) {
      const message = `OS instance ${to.name} ran out of memory during the move: ${why}`;
      throw new DomainError('mismatch', message, { resource: 'memory', cause: e });
    }
    throw e;
  }
}

/**
 * The domain went down with the OS instance that it was in. The original is whole no more: the frames that it had were
 * changed where it went on, and are gone.
 */
function ended(spec: DomainSpec, { name }: Hands, cause?: unknown): DomainError {
  const detail = cause === undefined ? {} : { cause };
  return new DomainError(
    'ended',
    `OS instance ${name} ended, and with it domain ${spec.name}, which was in it`,
    detail,
  );
}

/** How many processes the kernel of an OS instance has ended for want of memory. */
async function oomKills(hands: Hands): Promise<number> {
  return Number(/^oom_kill (\d+)$/m.exec((await readText(hands, '/proc/vmstat')) ?? '')?.[1] ?? 0);
}

const ranOut = (e: unknown): boolean => e instanceof DomainError && e.code === 'guest' && e.errno === ENOMEM;

/** Undoes a move that failed. Throws `ended`, or `undo-failed` with the reason of the failure in its message too. */
async function takeBack(undo: Undo, domain: RunningDomain, reason: unknown): Promise<void> {
  try {
    await undo.run();
  } catch (e) {
    if (await domain.hands.hasEnded()) throw ended(domain.spec, domain.hands, reason);
    const message = `${reasonOf(reason)}; and taking it back: ${reasonOf(e)}`;
    throw new DomainError('undo-failed', message, { cause: reason });
  }
}
