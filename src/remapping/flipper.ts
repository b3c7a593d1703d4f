import type { Hands } from '../guest/hands/hands.js';
import { BOUND_SATP } from '../guest/hands/mailbox.js';
import type { MailboxTransport } from '../guest/hands/transport.js';
import type { LogicalAddressSpace } from '../partition/address-space.js';
import { DomainError } from '../domain/errors.js';
import { Sequence, together } from '../domain/together.js';
import type { Tracee } from '../domain/trace/tracee.js';
import { checkPairs, exchange, type Exchanged } from './exchange.js';
import type { CommonPages, FlipReceipt, FrameMover, Move, PageLook, ProcessSpace } from '../domain/memory/mover.js';
import { ownPagesIn, strangersIn, walkRun } from './page-run.js';
import type { Range } from '../domain/memory/ranges.js';
import { warmUp } from './warm-up.js';

/** An OS instance as the flipper knows it. */
export interface FlipSide {
  readonly hands: Hands;
  readonly transport: MailboxTransport;
  readonly partition: {
    readonly space: LogicalAddressSpace;
    /** Keeps its memory until the function that is answered is called, even if the OS instance ends. */
    hold(): () => void;
    /** Makes its harts stand still, until the function that is answered is called. */
    pause(): Promise<() => void>;
  };
}

/** A side at work: its memory, and which of its pages are spoken for. */
interface Working {
  readonly side: FlipSide;
  readonly memory: { readonly words: Int32Array; offsetOf(address: number): number };
}

/**
 * Exchanges frames between the logical address spaces of OS instances: what a page of the one was mapped to,
 * the matching page of the other is mapped to then, and the reverse. No content is copied, but for pages that
 * several destinations want each for itself.
 *
 *     source page s ── frame 17        source page s ──╮ ╭─ frame 17
 *                                  →                   ╳
 *     understudy's d ─ frame 42        understudy's d ─╯ ╰─ frame 42
 */
export class FrameFlipper implements FrameMover {
  readonly #sides: readonly FlipSide[];
  readonly #randomBytes: (into: Uint8Array) => void;
  readonly #asking = new Sequence();

  constructor(sides: readonly FlipSide[], randomBytes: (into: Uint8Array) => void) {
    this.#sides = sides;
    this.#randomBytes = randomBytes;
  }

  #side(hands: Hands): FlipSide {
    const side = this.#sides.find((s) => s.hands === hands);
    if (side === undefined) throw new DomainError('state', `${hands.name} is no OS instance of this mover`);
    return side;
  }

  async prepare({ hands, satp = 0n }: ProcessSpace, ranges: readonly Range[]): Promise<void> {
    const { side, memory } = this.#working(hands);
    const work = warmUp(memory, satp, ranges, side.partition.space.pages);
    for (let done = false; !done;) {
      done = await whileStill([side], () => work.next().done === true);
      await new Promise<void>((resolve) => setTimeout(resolve, 0));
    }
  }

  async space(tracee: Tracee, show = (nonce: Uint8Array) => tracee.showNonce(nonce)): Promise<ProcessSpace> {
    const nonce = new Uint8Array(16);
    this.#randomBytes(nonce);
    const { transport } = this.#side(tracee.hands);
    // One nonce at a time is known to the ring.
    const satp = await this.#asking.run(() => transport.identify(nonce, () => show(nonce)));
    if (satp === undefined) throw new DomainError('lost', `thread ${tracee.tid} did not show itself`);
    return { hands: tracee.hands, pid: tracee.tid, satp };
  }

  handsSpace(hands: Hands): Promise<ProcessSpace> {
    return Promise.resolve({ hands, pid: 0, satp: this.#side(hands).transport.mailbox.u64(BOUND_SATP) });
  }

  async look({ hands, satp = 0n }: ProcessSpace, ranges: readonly Range[]): Promise<PageLook> {
    const { side, memory } = this.#working(hands);
    return whileStill([side], () => ownPagesIn(memory, satp, ranges, side.partition.space.pages));
  }

  async strangers(common: readonly CommonPages[]): Promise<(readonly Range[])[]> {
    const first = common[0];
    if (first === undefined) return [];
    const [from, to] = [this.#working(first.from.hands), this.#working(first.to.hands)];
    return whileStill([from.side, to.side], () =>
      strangersIn(
        from.memory,
        to.memory,
        common.map((c) => ({ from: c.from.satp ?? 0n, to: c.to.satp ?? 0n, ranges: c.ranges })),
        to.side.partition.space.pages,
      ),
    );
  }

  async flip(moves: readonly Move[]): Promise<FlipReceipt> {
    const sides = new Set(moves.flatMap((m) => [this.#side(m.from.hands), this.#side(m.to.hands)]));
    const letGo = [...sides].map((side) => side.partition.hold());
    const settle = (): void => letGo.forEach((go) => go());
    try {
      const receipt = await this.#exchange(moves, true);
      return {
        ...receipt,
        undo: async () => {
          // The kernels may have moved pages meanwhile: the tables say where they are now.
          await this.#exchange(moves, false);
        },
        settle,
      };
    } catch (e) {
      settle();
      throw e;
    }
  }

  /**
   * `copy`: whether a destination that comes second gets a copy. Taking back, it has nothing to give, and its
   * pages may have their final protection already; then a source that comes second gets one: the kernel may have given
   * processes pages of their own meanwhile.
   */
  async #exchange(moves: readonly Move[], copy: boolean): Promise<{ framesFlipped: number; bytesCopied: number }> {
    const first = moves[0];
    if (first === undefined) return { framesFlipped: 0, bytesCopied: 0 };
    const [from, to] = [this.#working(first.from.hands), this.#working(first.to.hands)];
    return whileStill([from.side, to.side], () => this.#whileStill(moves, from, to, copy));
  }

  #working(hands: Hands): Working {
    const side = this.#side(hands);
    const { space } = side.partition;
    const words = new Int32Array(space.bytes.buffer);
    return { side, memory: { words, offsetOf: (address) => space.offsetOf(address) } };
  }

  #whileStill(
    moves: readonly Move[],
    from: Working,
    to: Working,
    copy: boolean,
  ): { framesFlipped: number; bytesCopied: number } {
    const count = moves.reduce((n, m) => n + m.pages, 0);
    const sources = new Int32Array(count);
    const targets = new Int32Array(count);
    let at = 0;
    for (const m of moves) {
      if (m.from.hands !== from.side.hands || m.to.hands !== to.side.hands)
        throw new DomainError('state', 'a flip is between two OS instances');
      const missing = walkRun(from.memory, m.from.satp ?? 0n, m.fromVa, m.pages, false, sources, at);
      if (missing >= 0)
        throw new DomainError('lost', `page ${missing.toString(16)} of process ${m.from.pid} is not there`);
      const absent = walkRun(to.memory, m.to.satp ?? 0n, m.toVa, m.pages, copy, targets, at);
      if (absent >= 0)
        throw new DomainError('lost', `page ${absent.toString(16)} of the restored process ${m.to.pid} is not there`);
      at += m.pages;
    }

    const a = from.side.partition.space;
    const b = to.side.partition.space;
    // Pages of zeros that have no frame to exchange get one: to their instances that is no change.
    fillAbsent(a, sources);
    fillAbsent(b, targets);
    // First everything is looked at, then everything is changed: a failure leaves nothing changed.
    checkPairs({ sources, targets }, a.map, b.map, !copy);
    const { framesFlipped, copies, copiesBack } = exchange({ sources, targets }, a.map, b.map);
    if (!copy) copyFrames(a, copiesBack);
    else copyFrames(b, copies);
    return { framesFlipped, bytesCopied: copy ? 4096 * copies.length : 0 };
  }
}

/** Throws `lost` where the computer has no frame for one of the pages. */
function fillAbsent(space: LogicalAddressSpace, pages: Int32Array): void {
  for (const page of pages) {
    if (space.isAbsent(page) && !space.fill(page))
      throw new DomainError('lost', 'the computer has no memory left for the pages of a domain');
  }
}

/** Pairs of frames, the second of which belong to the space. */
function copyFrames(space: LogicalAddressSpace, copies: Exchanged['copies']): void {
  for (const [source, target] of copies) {
    space.bytes.copyWithin(target * 4096, source * 4096, source * 4096 + 4096);
    space.written(target * 4096, 4096);
  }
}

/** Does work while no hart of these OS instances runs. */
async function whileStill<T>(sides: readonly FlipSide[], work: () => T): Promise<T> {
  for (const { transport } of sides) transport.restless(true);
  try {
    const pauses = sides.map(({ partition }) => partition.pause());
    try {
      await together(pauses);
      return work();
    } finally {
      for (const pause of await Promise.allSettled(pauses)) if (pause.status === 'fulfilled') pause.value();
    }
  } finally {
    for (const { transport } of sides) transport.restless(false);
  }
}
