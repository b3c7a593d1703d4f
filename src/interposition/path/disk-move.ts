/**
 * A disk moves to another place while it is in use:
 *
 *   copy ──▶ copy what was written meanwhile ──▶ … ──▶ little is left ──▶ the disk pauses:          ──▶ it is there
 *   all        (a disk that is written faster         target flushed       the rest is copied,
 *              than it can be copied is braked)                            the target flushed
 *
 * Until the last step the old place has everything, and only it counts; whatever fails before leaves the disk there. What
 * was copied is read back and compared.
 */
import { BlockError, SECTOR_SIZE, type BlockBackend } from '../../computer/virtio/block-backend.js';
import { InterpositionError } from '../errors.js';
import { DirtyMap, PART } from './dirty-map.js';
import type { DiskPath } from './disk-path.js';
import type { MoveOptions, MoveReport } from './disk-types.js';

/** Parts that are copied at a time: 1 MiB. */
const STRIDE = 16;
/** Parts that may be left for the pause: 1 MiB. */
const FEW = 16;
/** Rounds after which a disk must get cleaner by half in each, or is braked. */
const FREE_ROUNDS = 3;
const MOST_BRAKE = 50;
/** Longest pause in milliseconds: past it the disk stays where it is. */
const LONGEST_PAUSE = 5000;

/** Throws InterpositionError `invalid` for a place that the disk cannot move to. */
export function checkTarget(target: BlockBackend, disk: BlockBackend): void {
  const refuse = (why: string): never => {
    throw new InterpositionError('invalid', `the disk cannot move there: ${why}`);
  };
  const { read, write, flush } = (target as BlockBackend | undefined) ?? ({} as Partial<BlockBackend>);
  if ([read, write, flush].some((method) => typeof method !== 'function')) {
    refuse('it is no disk; a file is opened by FileDisk.open');
  }
  if (target === disk) refuse('it is there already');
  if (target.readOnly) refuse('that cannot be written');
  if (target.sectors < disk.sectors) refuse(`it has ${disk.sectors} sectors, and there are ${target.sectors}`);
}

/** The place, as what its driver knows of the disk: the size, what can be asked for, and the name stay the same. */
export function asBefore(target: BlockBackend, before: BlockBackend): BlockBackend {
  const { sectors, readOnly, id } = before;
  const refuse = (): Promise<never> => Promise.reject(new BlockError('read-only', 'the disk cannot be written'));
  return {
    sectors,
    readOnly,
    id,
    read: (sector, into) => target.read(sector, into),
    write: readOnly ? refuse : (sector, from) => target.write(sector, from),
    flush: () => target.flush(),
    // What is discarded may as well stay.
    ...(before.discard && { discard: async (sector: number, count: number) => target.discard?.(sector, count) }),
    ...(before.zero && { zero: (sector: number, count: number) => zeroAt(target, sector, count) }),
    lend: (recall) => target.lend?.(recall),
  };
}

async function zeroAt(target: BlockBackend, sector: number, count: number): Promise<void> {
  if (target.zero !== undefined) return target.zero(sector, count);
  const step = STRIDE * PART;
  const zeroes = new Uint8Array(Math.min(step, count) * SECTOR_SIZE);
  for (let done = 0; done < count; done += step) {
    await target.write(sector + done, zeroes.subarray(0, Math.min(step, count - done) * SECTOR_SIZE));
  }
}

/** One move. */
export class DiskMove {
  readonly #dirty: DirtyMap;
  readonly #data = new Uint8Array(STRIDE * PART * SECTOR_SIZE);
  readonly #back = new Uint8Array(STRIDE * PART * SECTOR_SIZE);
  /** Rejects when the move is given up; a target that never answers does not keep it. */
  readonly #givenUp: Promise<never>;
  #giveUp: (why: unknown) => void = () => undefined;
  #over = false;
  #copied = 0;
  #rounds = 0;

  constructor(
    private readonly path: DiskPath,
    private readonly target: BlockBackend,
    private readonly options: MoveOptions,
    private readonly sectors: number,
  ) {
    this.#dirty = new DirtyMap(sectors);
    this.#givenUp = new Promise((_, reject) => (this.#giveUp = reject));
    this.#givenUp.catch(() => undefined);
  }

  /** `change` makes the device use the target: at once, and the last thing that may fail. */
  async run(change: () => void): Promise<MoveReport> {
    const { path } = this;
    const { signal } = this.options;
    const stop = (): void => this.#giveUp(signal?.reason);
    signal?.addEventListener('abort', stop);
    try {
      signal?.throwIfAborted();
      // What is being written at this moment is told of too.
      await path.still(() => void path.keepers.add(this.#dirty));
      await this.#approach();
      return await this.#switch(change);
    } finally {
      this.#over = true;
      this.#dirty.brake = 0;
      path.keepers.delete(this.#dirty);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** It is over for a reason from outside. */
  giveUp(why: unknown): void {
    this.#giveUp(why);
  }

  async #approach(): Promise<void> {
    for (;;) {
      const before = this.#dirty.count;
      await this.#round();
      await this.#orGivenUp(this.target.flush());
      const left = this.#dirty.count;
      if (left <= FEW) return;
      if (this.#rounds >= FREE_ROUNDS && left > before / 2) {
        this.#dirty.brake = Math.min(MOST_BRAKE, Math.max(1, 2 * this.#dirty.brake));
      }
    }
  }

  async #switch(change: () => void): Promise<MoveReport> {
    const begin = performance.now();
    return this.path.still(async () => {
      const timer = setTimeout(() => {
        this.#giveUp(
          new InterpositionError('busy', `the last step took over ${LONGEST_PAUSE} ms; the disk is where it was`),
        );
      }, LONGEST_PAUSE);
      try {
        if (this.#dirty.count > 0) await this.#round();
        await this.#orGivenUp(this.target.flush());
        this.options.signal?.throwIfAborted();
      } finally {
        clearTimeout(timer);
      }
      change();
      return { bytes: this.#copied, rounds: this.#rounds, switchMs: performance.now() - begin };
    });
  }

  async #round(): Promise<void> {
    this.#rounds++;
    for (let part = 0; ;) {
      const run = this.#dirty.take(part, STRIDE);
      if (run === undefined) return;
      await this.#copy(run.first * PART, Math.min(run.end * PART, this.sectors));
      part = run.end;
    }
  }

  async #copy(first: number, end: number): Promise<void> {
    const length = (end - first) * SECTOR_SIZE;
    const data = this.#data.subarray(0, length);
    const back = this.#back.subarray(0, length);
    await this.#orGivenUp(this.path.driver.read(first, data));
    const isZero = this.target.zero !== undefined && data.every((byte) => byte === 0);
    await this.#orGivenUp(isZero ? zeroAt(this.target, first, end - first) : this.target.write(first, data));
    await this.#orGivenUp(this.target.read(first, back));
    for (let i = 0; i < length; i++) {
      if (data[i] === back[i]) continue;
      throw new BlockError(
        'host',
        `what was written to the new place reads otherwise at byte ${first * SECTOR_SIZE + i}`,
      );
    }
    this.#copied += length;
    if (this.#over) return;
    const total = this.sectors * SECTOR_SIZE;
    this.options.onProgress?.({
      copied: this.#copied,
      total,
      dirty: Math.min(total, this.#dirty.count * PART * SECTOR_SIZE),
    });
  }

  #orGivenUp<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#givenUp]);
  }
}
