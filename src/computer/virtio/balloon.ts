/**
 * The memory balloon (virtio 1.2, section 5.5): pages that the guest does without, as many as it is asked for (inflated:
 * its own kernel has given them up, and counts them as gone), and pages that just lie free in it (reported: they come back,
 * cleared, when they are next touched).
 *
 *     num_pages (config) ──▶ guest ──inflateq──▶ device ──▶ BalloonPages: gives the frames back
 *                                   ──deflateq──▶            the guest uses them again
 *                                   ──reporting──▶           gives the frames back
 *                            guest ◀──statsq──▶ device       what the guest says of its memory
 *
 * F_DEFLATE_ON_OOM is not offered: a guest that has used up what it was given has to end a process of its own, not to take
 * what others have; and Linux counts inflated pages as gone only without it. F_MUST_TELL_HOST is not needed: a page that
 * is touched before it was deflated gets a frame like any other.
 */
import * as b from './balloon-format.js';
import type { GuestMemoryStatistics, PageRun } from './balloon-format.js';
import { Chain } from './chain.js';
import { VirtioDevice, type DeviceHost } from './device.js';
import * as s from './state.js';
import type { Virtqueue } from './queue.js';

const CLASS_OTHER = 0xff_0000;
/** Requests that are begun in one turn. */
const MOST_REQUESTS = 32;

/**
 * Whose pages they are. What the guest names is untrusted: a page may lie outside its memory, be named twice, or be in
 * use all the same. A driver goes on when the promise has settled; the frames must be nobody's to reach by then.
 */
export interface BalloonPages {
  /** The pages that there are, by number (guest-physical address / 4096). */
  readonly extent: PageRun;
  inflate(runs: readonly PageRun[]): Promise<void>;
  deflate(runs: readonly PageRun[]): Promise<void>;
  /** Pages that lie free in the guest. */
  report(runs: readonly PageRun[]): Promise<void>;
  /** The driver is gone, or has begun anew: nothing is inflated any more. */
  reset(): void;
}

/** A virtio memory balloon (virtio 1.2, 5.5). */
export class VirtioBalloon extends VirtioDevice {
  /** Told when the guest has said how it stands with its memory. */
  onStatistics: (statistics: GuestMemoryStatistics) => void = () => undefined;
  /** The numbers as they came last. */
  statisticsBytes = new Uint8Array(0);
  readonly #chain = new Chain(this.memory);
  readonly #statistics = new Chain(this.memory);
  #underWay = 0;
  /** `wanted`: its buffer for statistics is to be given back to the guest; `asked`: it has it, and owes an answer. */
  #statisticsAre: 'there' | 'wanted' | 'asked' = 'there';
  /** Queues that wait until what is under way is over. */
  #waiting = 0;

  constructor(
    host: DeviceHost,
    readonly pages: BalloonPages,
  ) {
    super(host, {
      id: b.BALLOON_ID,
      classCode: CLASS_OTHER,
      features: b.F_STATS_VQ | b.F_PAGE_POISON | b.F_PAGE_REPORTING,
      queues: Array.from({ length: b.QUEUES }, () => b.QUEUE_SIZE),
      config: new Uint8Array(b.CONFIG_SIZE),
      driverWrites: b.DRIVER_WRITES,
    });
  }

  /** Pages that the guest is to do without. */
  get target(): number {
    return this.load(s.CONFIG + b.NUM_PAGES) >>> 0;
  }
  set target(pages: number) {
    if (pages === this.target) return;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, pages, true);
    this.changeConfig(b.NUM_PAGES, bytes);
  }

  /** Pages that it does without already, as its driver says. */
  get actual(): number {
    return this.load(s.CONFIG + b.ACTUAL) >>> 0;
  }

  /** Whether a driver can answer. */
  get driven(): boolean {
    return this.running;
  }

  override adoptConfiguration(bytes: Uint8Array): void {
    // The rest of it is the driver's own.
    this.target = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(b.NUM_PAGES, true);
  }

  /** Whether an answer to `askStatistics` is yet to come. */
  get asksStatistics(): boolean {
    return this.#statisticsAre !== 'there';
  }

  /** Goes on in the place of another in what the guest was asked; that one has no buffer of the guest's to give back. */
  goOnAsking(other: VirtioBalloon): void {
    this.statisticsBytes = other.statisticsBytes;
    this.#statisticsAre = other.#statisticsAre;
    if (other.#statisticsAre === 'wanted') other.#statisticsAre = 'asked';
  }

  /** Asks the guest how it stands with its memory. It answers when it gets to it, by `onStatistics`, or never. */
  askStatistics(): void {
    try {
      if (this.#statisticsAre === 'asked') return;
      this.#statisticsAre = 'wanted';
      if (!this.negotiated(b.F_STATS_VQ) || !this.enter()) return;
      this.#takeStatistics();
      this.leave();
    } catch (error) {
      this.crashed(error);
    }
  }

  override get requestsUnderWay(): number {
    return this.#underWay;
  }

  protected override process(kicked: number): void {
    if ((kicked & (1 << b.STATS)) !== 0 && this.negotiated(b.F_STATS_VQ)) this.#takeStatistics();
    this.#begin(kicked & ((1 << b.QUEUES) - 1));
  }

  protected override onReset(): void {
    this.#statisticsAre = 'there';
    this.#waiting = 0;
    this.pages.reset();
  }

  override powerCycle(): void {
    super.powerCycle();
    // It was for who had it.
    this.statisticsBytes = new Uint8Array(0);
    this.target = 0;
  }

  /**
   * Whether free pages are reported in that queue. The specification numbers it 4, whatever else there is; Linux leaves
   * no number out, and has it behind those that were negotiated.
   */
  #reports(q: number): boolean {
    if (!this.negotiated(b.F_PAGE_REPORTING)) return false;
    return q > b.STATS || (q === b.STATS && !this.negotiated(b.F_STATS_VQ));
  }

  /** Begins what is asked for in these queues, one request at a time: who drives waits for each. */
  #begin(queues: number): void {
    for (let q = 0, n = 0; q < b.QUEUES; q++) {
      if ((queues & (1 << q)) === 0 || (q > b.DEFLATE && !this.#reports(q))) continue;
      for (; !this.broken; n++) {
        if (this.#underWay > 0) {
          this.#waiting |= queues & -(1 << q);
          return;
        }
        if (n === MOST_REQUESTS) return this.again(queues & -(1 << q));
        const queue = this.queues[q];
        if (!queue.pop(this.#chain)) break;
        this.#serve(q, queue);
      }
    }
  }

  #serve(q: number, queue: Virtqueue): void {
    const runs = q > b.DEFLATE ? this.#reported() : this.#named();
    if (runs === undefined) return this.fail(`queue ${q}: more pages than there are, or not in memory`);
    const { head } = this.#chain;
    // Free pages that must keep what is in them stay as they are (5.5.6.6).
    const keeps = q > b.DEFLATE && this.negotiated(b.F_PAGE_POISON) && this.load(s.CONFIG + b.POISON_VAL) !== 0;
    if (runs.length === 0 || keeps) return queue.push(head, 0);
    // What it takes grows with the pages, not with the request.
    this.budget.credit -= runs.reduce((sum, { count }) => sum + count, 0) / 16;
    const { generation } = this;
    const work =
      q === b.INFLATE ? this.pages.inflate(runs) : q === b.DEFLATE ? this.pages.deflate(runs) : this.pages.report(runs);
    this.#underWay++;
    const done = (): void => {
      this.#underWay--;
      try {
        if (!this.enter(0, true)) return;
        if (generation === this.generation) queue.push(head, 0);
        this.leave();
        const waiting = this.#waiting;
        this.#waiting = 0;
        if (waiting !== 0) this.again(waiting);
      } catch (error) {
        this.crashed(error);
      }
    };
    // Where pages could not be taken the guest keeps them; it is told all the same.
    work.then(done, (error: unknown) => {
      this.tell(`pages that were not given back: ${error instanceof Error ? error.message : String(error)}`);
      done();
    });
  }

  /** The pages whose numbers the request holds, as far as there are such; undefined: the request is garbage. */
  #named(): PageRun[] | undefined {
    const { readable } = this.#chain;
    if (readable > b.MOST_PFNS * b.PFN_SIZE) return undefined;
    const bytes = new Uint8Array(readable);
    if (this.#chain.read(0, readable, bytes) < readable) return undefined;
    return b.runsOfPfns(new DataView(bytes.buffer)).flatMap((run) => this.#within(run));
  }

  /** The whole pages of the request's buffers; undefined: there are more of them than the guest has. */
  #reported(): PageRun[] | undefined {
    const runs: PageRun[] = [];
    let pages = 0;
    this.#chain.eachWritable((address, length) => {
      const first = Math.ceil(address / b.BALLOON_PAGE);
      const count = Math.floor((address + length) / b.BALLOON_PAGE) - first;
      for (const run of this.#within({ first, count })) {
        runs.push(run);
        pages += run.count;
      }
    });
    return pages > this.pages.extent.count ? undefined : runs;
  }

  /** What of it is the guest's memory. */
  #within({ first, count }: PageRun): PageRun[] {
    const { extent } = this.pages;
    const from = Math.max(first, extent.first);
    const end = Math.min(first + count, extent.first + extent.count);
    return end > from ? [{ first: from, count: end - from }] : [];
  }

  /**
   * The driver has left its numbers in the queue. They stay there, so that whoever goes on with the device's state finds
   * them; the driver gets its buffer back when it is to write new ones (5.5.6.3).
   */
  #takeStatistics(): void {
    const queue = this.queues[b.STATS];
    if (!queue.pop(this.#statistics)) return;
    if (this.#statisticsAre === 'wanted') {
      this.#statisticsAre = 'asked';
      queue.push(this.#statistics.head, 0);
      // Finding nothing more, the queue asks to be told of the answer.
      if (!queue.pop(this.#statistics)) return;
    }
    const bytes = new Uint8Array(Math.min(this.#statistics.readable, b.MOST_STATS));
    if (this.#statistics.read(0, bytes.length, bytes) < bytes.length) {
      return this.fail('queue 2: a buffer that is not in memory');
    }
    queue.rewind(1);
    this.#statisticsAre = 'there';
    this.statisticsBytes = bytes;
    this.onStatistics(b.readStatistics(new DataView(bytes.buffer)));
  }
}
