/** What is made ready for a move, most of it while the domain runs. */
import type { Hands } from '../guest/hands/hands.js';
import type { DomainImage } from '../domain/checkpoint/checkpoint.js';
import { broughtBy, stillForeseen } from '../domain/checkpoint/foresee.js';
import { withoutObjects, type Foresight, type Outline } from '../domain/checkpoint/outline.js';
import { DomainError } from '../domain/errors.js';
import { closeAll } from '../domain/linux/making.js';
import type { HeldFiles } from '../domain/linux/held-files.js';
import type { Advice } from '../domain/memory/advice.js';
import { carriedPaths } from '../domain/memory/carried.js';
import type { FrameMover } from '../domain/memory/mover.js';
import { findShared } from '../domain/memory/shared-pages.js';
import { holdProc } from '../domain/proc/survey.js';
import { Ground } from '../domain/restore/ground.js';
import type { Restoration } from '../domain/restore/restore.js';
import type { DomainSpec } from '../domain/tree/anchor.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import { Undo } from '../domain/undo.js';
import { clockOffsets } from './clocks.js';
import { asOfOneMoment, lookAgain, lookAround, readAllAdvice, type Change, type Look } from './survey.js';

/** What is moved, and where to. */
export interface Journey {
  readonly domain: RunningDomain;
  readonly to: Hands;
  readonly spec: DomainSpec;
  readonly mover: FrameMover;
}

/** The error of a move that did not come to rest; it may be tried again. */
export function changed(spec: DomainSpec, what: string): DomainError {
  const message = `${what} of domain ${spec.name} came or went`;
  return new DomainError('changed', message, { resource: `${what} that come and go`, passing: true });
}

/**
 * What a domain will need in its destination: the ground, which does not depend on its processes, and the processes, which
 * are made anew where others have come or gone meanwhile.
 */
export class Preparation {
  readonly #kept: number[] = [];
  #groundUndo = new Undo();
  #processUndo = new Undo();
  #held: HeldFiles | undefined;
  #look: Look | undefined;
  #advice: ReadonlyMap<number, readonly Advice[]> = new Map();
  #ground: Ground | undefined;
  #restoration: Restoration | undefined;

  /** `undo`: of the whole move. */
  constructor(
    readonly journey: Journey,
    undo: Undo,
  ) {
    undo.add('closing what was held of the original', () => this.letGo());
    undo.add('removing what was prepared', () => this.#remove());
    undo.add('closing files of /proc', () => this.closeProc());
  }

  async #remove(): Promise<void> {
    for (const undo of [this.#processUndo, this.#groundUndo]) {
      try {
        await undo.run();
      } catch (e) {
        // With the destination all went that was prepared in it.
        if (!(await this.journey.to.hasEnded())) throw e;
      }
    }
  }

  get look(): Look {
    return known(this.#look);
  }
  get ground(): Ground {
    return known(this.#ground);
  }
  get restoration(): Restoration {
    return known(this.#restoration);
  }
  get held(): HeldFiles {
    return known(this.#held);
  }
  get foresight(): Foresight {
    const { outlines, foreseen, lacking, mountSpaces } = this.look;
    return { known: outlines, held: this.held, shares: foreseen, lacking, mountSpaces };
  }

  /** Looks at the domain, and again: then only at those who were there at this moment. Throws what refuses it. */
  async lookAround(): Promise<void> {
    const { domain, to } = this.journey;
    const before =
      this.#look === undefined
        ? undefined
        : { look: this.#look, pids: new Set(await domain.anchor.cgroup.processes()) };
    await this.#forget();
    this.#look = await lookAround(domain, to, (fd) => void this.#kept.push(fd), before);
    this.#advice = await readAllAdvice(domain.hands, this.#look.outlines);
  }

  /** Nobody is prepared for any more. */
  async #forget(): Promise<void> {
    await this.closeProc();
    if (this.#restoration === undefined) return;
    await this.#processUndo.run();
    await this.ground.clear();
    this.#restoration = undefined;
  }

  async layGround(): Promise<void> {
    await this.#layGround(this.look.outlines, this.look.foreseen, false);
  }

  async #layGround(
    outlines: readonly Outline[],
    foreseen: ReadonlyMap<string, unknown>,
    stands: boolean,
  ): Promise<void> {
    const { domain, to, spec, mover } = this.journey;
    const clocks = await clockOffsets(domain, to);
    const avoid = outlines.flatMap((o) => o.view.vmas);
    const way = { from: domain.hands, to, mover };
    this.#ground = await Ground.prepare(way, { spec, clocks, avoid }, foreseen, this.#groundUndo, stands);
  }

  /** Brings processes to life for those that were looked at, and makes ready what is asked of the originals when they stand still. */
  async bear(): Promise<void> {
    const { outlines } = this.look;
    await asOfOneMoment(this.journey.spec.name, () => this.#bear(outlines));
    this.#held = await holdProc(
      this.journey.domain.hands,
      outlines.map((o) => o.view),
    );
    await this.restoration.rehearseFlip(outlines);
  }

  async #bear(outlines: readonly Outline[]): Promise<void> {
    const { hands } = this.journey.domain;
    if (!this.ground.hasRoomFor(outlines.flatMap((o) => o.vmas))) throw changed(this.journey.spec, 'mappings');
    const { foreseen, lacking } = this.look;
    const brought = broughtBy(foreseen);
    const carried = carriedPaths(
      outlines.map((o) => o.view),
      brought,
    );
    // Where a file is written anew, pages of a mapping of it that are the process's own would be gone.
    const later = (path: string): boolean => carried.has(path) || lacking.has(path) || brought(path);
    const shapes = outlines.map((o) => withoutObjects(o, later));
    this.#processUndo = new Undo();
    this.#restoration = this.ground.restoration(this.#advice, this.#processUndo);
    await this.restoration.bear(outlines, shapes, await findShared(hands, outlines));
    await this.restoration.shape(shapes);
  }

  /** How the domain differs, as it runs, from what was made ready for it. */
  change(): Promise<Change | undefined> {
    return lookAgain(this.journey.domain, this.look.outlines, this.held);
  }

  /** The domain stands still and its processes are others: they are made anew, which takes as long. */
  async bearAnew(image: DomainImage): Promise<void> {
    await this.#processUndo.run();
    await this.ground.clear();
    await this.#addAdvice(image.processes);
    await this.#bear(image.processes);
  }

  /** The domain stands still, and what it shares has become another: all is made anew. */
  async prepareAnew(image: DomainImage): Promise<void> {
    await this.#remove();
    this.#groundUndo = new Undo();
    await this.#addAdvice(image.processes);
    await this.#layGround(image.processes, stillForeseen(this.look.foreseen, image.shares), true);
    await this.#bear(image.processes);
  }

  /** What those who came have told the kernel about their mappings. */
  async #addAdvice(outlines: readonly Outline[]): Promise<void> {
    const before = new Set(this.look.outlines.map((o) => o.view.hostPid));
    const came = outlines.filter((o) => !before.has(o.view.hostPid));
    const theirs = await readAllAdvice(this.journey.domain.hands, came);
    this.#advice = new Map([...this.#advice, ...theirs]);
  }

  /** The move is done: what was prepared is the domain. */
  forget(): void {
    this.#processUndo.forget();
    this.#groundUndo.forget();
  }

  /** Closes what the hands have had of the original since the first look. */
  letGo(): Promise<void> {
    return closeAll(this.journey.domain.hands, this.#kept.splice(0));
  }

  async closeProc(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.close();
  }
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new DomainError('state', 'nothing is prepared yet');
  return value;
}
