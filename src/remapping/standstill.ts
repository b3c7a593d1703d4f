/** Has a domain stand still that is made ready for, and tries again where it has become another meanwhile. */
import { checkpoint, type DomainImage } from '../domain/checkpoint/checkpoint.js';
import { haveRoom, mayStillFit } from '../domain/checkpoint/outline.js';
import { DomainError } from '../domain/errors.js';
import { FrozenDomain } from '../domain/freeze/frozen.js';
import { lookAtSleepers } from '../domain/freeze/waits.js';
import type { Undo } from '../domain/undo.js';
import type { MigrationOptions, Step } from './migrate.js';
import { changed, type Preparation } from './preparation.js';
import { aMoment, changeOf, type Change } from './survey.js';
import { reasonOf } from './tidying.js';

/** A domain that stands still, and when that was: milliseconds, monotonic. */
export interface Standstill {
  readonly frozen: FrozenDomain;
  readonly image: DomainImage;
  readonly began: number;
  readonly froze: number;
  readonly described: number;
}

/** How often a domain is frozen to be moved, where what it was just doing cannot be moved, or others come and go. */
export const MOST_ATTEMPTS = 8;
/** Of these, such that are left for what cannot be moved just then. */
const LEFT = 2;
/** How often it is frozen for the same preparation: who came may be gone a moment later. */
const FREEZES_EACH = 3;
/**
 * How often processes are prepared where some come and go meanwhile. After that they are made while the domain stands still:
 * that takes longer, but it is moved at all.
 */
const MOST_PREPARATIONS = 4;

/** What has been tried of a move. */
export interface Tries {
  /** Freezes. */
  attempts: number;
  preparations: number;
  /** Why it was not moved at each freeze before the last. */
  readonly reasons: string[];
}

export const firstTry = (): Tries => ({ attempts: 1, preparations: 1, reasons: [] });

/** It has to be frozen once more. */
export function tryAgain(tries: Tries, reason: unknown): void {
  tries.attempts++;
  tries.reasons.push(reasonOf(reason));
}

/** From now on it is moved even if its processes have changed. */
const isLast = ({ attempts, preparations }: Tries): boolean => preparations >= MOST_PREPARATIONS || !canWait(attempts);

/** Whether it is worth to wait for a moment at which less is to be done while the domain stands still. */
export const canWait = (attempts: number): boolean => attempts < MOST_ATTEMPTS - LEFT;

type Options = Pick<MigrationOptions, 'domain' | 'mover' | 'gate' | 'now'>;

/**
 * Prepares processes, and freezes the domain when it is as it was prepared for. Where it is another, it goes on: an attempt
 * costs it a short freeze only. `rest`: between the first preparation and the freeze.
 */
export async function comeToRest(
  options: Options,
  ready: Preparation,
  tries: Tries,
  undo: Undo,
  step: (s: Step) => Promise<void>,
  rest: () => Promise<void>,
): Promise<Standstill> {
  for (let turn = 0; ; turn++) {
    if (turn > 0) await ready.lookAround();
    await step('bear');
    await ready.bear();
    if (turn === 0) await rest();
    let change = await ready.change();
    for (let freezes = 1; ; freezes++) {
      const last = isLast(tries);
      if (change === 'other' && !last) break;
      const depth = undo.depth;
      try {
        return await freeze(options, ready, undo, step, !last);
      } catch (e) {
        if (!(e instanceof Another)) throw e;
        await undo.run(depth);
        if (tries.attempts >= MOST_ATTEMPTS) throw e.reason;
        tryAgain(tries, e.reason);
        change = e.change;
      }
      if (freezes >= FREEZES_EACH) break;
      await aMoment();
    }
    tries.preparations++;
  }
}

/** The domain cannot be moved as it stands now, and goes on: nothing was asked yet that can be asked only once. */
class Another extends Error {
  constructor(
    readonly reason: unknown,
    readonly change: Change,
  ) {
    super('the domain is another');
  }
}

/** `demanding`: throws unless the processes are those that were prepared for. */
async function freeze(
  { domain, mover, gate, now }: Options,
  ready: Preparation,
  undo: Undo,
  step: (s: Step) => Promise<void>,
  demanding: boolean,
): Promise<Standstill> {
  await step('freeze');
  const { spec } = domain;
  const { outlines } = ready.look;
  const sleepers = await lookAtSleepers(domain.anchor);
  const began = now();
  let waiting = false;
  undo.add('releasing the network', async () => {
    if (waiting) await gate?.release('source');
  });
  const frozen = await FrozenDomain.freeze(domain.anchor, ready.held, sleepers).catch(again);
  undo.add('letting the domain go on', () => frozen.resume());
  const threads = frozen.processes.map((p) => [p.hostPid, p.threads.map((t) => t.tracee.tid)] as const);
  const change = demanding ? changeOf(outlines, new Map(threads)) : undefined;
  if (change !== undefined) throw new Another(changed(spec, 'processes'), change);
  // After the freeze: an answer given between the two would be lost, and sent again only a second later.
  await gate?.hold();
  waiting = true;
  const froze = now();

  await step('describe');
  const views = outlines.map((o) => o.view);
  let isSame = false;
  const image = await checkpoint(frozen, mover, ready.foresight, (seen) => {
    isSame = !demanding || mayStillFit(views, seen);
    // Who came may be gone a moment later; what is too many to have room stays so.
    if (!isSame) throw new Another(changed(spec, 'processes'), haveRoom(views, seen) ? 'more' : 'other');
  }).catch((e: unknown) => {
    if (isSame) throw e;
    return again(e);
  });
  if (image.processes.length === 0) throw new DomainError('lost', `domain ${spec.name} has no process left`);
  return { frozen, image, began, froze, described: now() };
}

/** What is over in a moment is worth another attempt. */
function again(e: unknown): never {
  throw e instanceof DomainError && e.passing ? new Another(e, 'more') : e;
}
