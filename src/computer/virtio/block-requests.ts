/**
 * Reads and writes of a block device, done by the hart's thread on which the driver kicked: from the file straight into
 * the guest's memory, and back, before the driver goes on. No other thread has to wake up for it.
 *
 * Everything else (flushes take long, and the rest is rare), and whatever is garbage, is left in the queue for the main
 * thread (block.ts), which may work at requests of its own at the same time: a driver that wants two requests done one
 * after the other waits for the first. So a flush covers what was written here, for that was done when its turn was over.
 */
import type { Budget } from '../turns.js';
import { BlockRequest, HEADER_SIZE, S_IOERR, S_OK, T_IN, T_OUT, type DiskShape } from './block-request.js';
import { HartTurns, type Done, type HartTurnHost } from './hart-turn.js';
import { MemoryRuns } from './memory-runs.js';
import type { Virtqueue } from './queue.js';
import * as s from './state.js';

/**
 * A disk whose sectors can be had at once. What it throws becomes an I/O error in the guest. False is the one answer that
 * counts: this time they cannot, and nothing was done.
 */
export interface SyncDisk extends DiskShape {
  /** Fills the buffers, which are the guest's memory, with the contents from `sector` on. */
  read(sector: number, into: readonly Uint8Array[]): unknown;
  write(sector: number, from: readonly Uint8Array[]): unknown;
}

/** What it takes to do a block device's requests on a hart's thread. */
export interface BlockRequestsHost extends HartTurnHost {
  /** The disk as it is now; none: the main thread does it all. Asked with the page's lock held. */
  disk(): SyncDisk | undefined;
  /** A hart's own unless told: some milliseconds. */
  readonly budget?: Budget;
}

/** The guest does nothing else on this hart meanwhile: what takes longer (ms) is left to the main thread. */
const LONGEST_TURN = 4;
/** Buffers and KiB between looks at the clock. */
const CREDIT = 16;
/** A disk that takes so long for a request (ms), on the whole, is no disk to wait for: more than a busy host takes ... */
const SLOW = 2;
/** ... until so much later (ms). The file may be in the host's page cache then. */
const REST = 100;
/** Turns that count for "on the whole". */
const TURNS = 16;

export class BlockRequests extends HartTurns {
  readonly budget: Budget;
  readonly #host: BlockRequestsHost;
  readonly #request: BlockRequest;
  readonly #runs: MemoryRuns;
  /** Known while there is a turn. */
  #disk: SyncDisk | undefined;
  #left = false;
  /** Requests done in this turn, and when it ends at the latest. */
  #count = 0;
  #deadline = 0;
  /** Milliseconds a request takes. Only a guess at what is best: no other thread needs it. */
  #mean = 0;
  #restsUntil = 0;

  constructor(host: BlockRequestsHost) {
    super(host);
    this.#host = host;
    this.#request = new BlockRequest(this.memory);
    this.#runs = new MemoryRuns(host.dma.bytes);
    this.budget = host.budget ?? {
      credit: 0,
      renew: () => {
        if (performance.now() >= this.#deadline) return false;
        this.budget.credit = CREDIT;
        return true;
      },
    };
  }

  /** The driver has kicked queue `q`. True: that is seen to; false: the main thread is to be kicked. */
  serve(q: number): boolean {
    if (q !== 0) return false;
    const start = performance.now();
    if (start < this.#restsUntil) return false;
    this.#deadline = start + LONGEST_TURN;
    if (this.#host.budget === undefined) this.budget.credit = CREDIT;
    this.#count = 0;
    try {
      return this.turns(q);
    } finally {
      if (this.#count > 0) this.#note((performance.now() - start) / this.#count, start);
    }
  }

  /**
   * For a driver on this very thread, which has nothing under way: takes a turn, has `publish` put a request into the
   * queue, and does it. False: somebody else has a turn, or there may be none; nothing was published.
   */
  do(publish: () => void): boolean {
    this.#deadline = Infinity;
    this.budget.credit = Infinity;
    return this.turnWith(0, publish);
  }

  leftOver(): void {
    this.#left = true;
  }

  protected override mayServe(): boolean {
    if (!super.mayServe()) return false;
    // What a driver asked for before its reset may still be written: nobody else's request may overtake it.
    if (this.load(s.UNDER_WAY) !== 0 && this.load(s.UNDER_WAY_GENERATION) !== this.load(s.GENERATION)) return false;
    this.#disk = this.#host.disk();
    return this.#disk !== undefined;
  }

  protected work(queue: Virtqueue): Done {
    const request = this.#request;
    this.#left = false;
    while (queue.pop(request.chain)) {
      if (!this.#do(request, queue)) {
        queue.rewind(1);
        return 'left';
      }
      this.#count++;
    }
    return this.#left ? 'left' : 'empty';
  }

  /** False: it is left to the main thread. */
  #do(request: BlockRequest, queue: Virtqueue): boolean {
    const disk = this.#disk;
    if (disk === undefined || !request.isWhole || !request.parse() || (request.type !== T_IN && request.type !== T_OUT))
      return false;
    if (!request.fits(disk)) return request.answer(queue, S_IOERR, 0);
    const { chain, sector, length } = request;
    const reads = request.type === T_IN;
    const runs = this.#runs;
    runs.clear();
    if (!chain.locate(reads ? 'writable' : 'readable', reads ? 0 : HEADER_SIZE, length, runs)) return false;
    let status = S_OK;
    try {
      if (length === 0) return request.answer(queue, status, 0);
      const done = reads ? disk.read(sector, runs.views()) : disk.write(sector, runs.views());
      if (done === false) return false;
    } catch {
      status = S_IOERR;
    }
    // Also where it failed in the middle.
    if (reads) this.memory.written(runs);
    return request.answer(queue, status, reads && status === S_OK ? length : 0);
  }

  #note(each: number, now: number): void {
    this.#mean += (each - this.#mean) / TURNS;
    if (this.#mean <= SLOW) return;
    this.#restsUntil = now + REST;
    // One request that is slow again is enough then.
    this.#mean = SLOW;
  }
}
