/**
 * What the host writes to a domain's program and reads from its terminal, in whichever instance that is. While the domain
 * is moved it waits from the freeze on: what was typed before goes along, what is typed meanwhile follows.
 */
import { DomainError } from '../../domain/errors.js';
import { EAGAIN, EIO } from '../../domain/linux/flags.js';
import { check } from '../../domain/linux/os.js';
import { Sequence } from '../../domain/together.js';
import { closeEnds, isWindowSize, windowOf, type HostEnd, type WindowSize } from '../../domain/tree/host-ends.js';
import type { RunningDomain } from '../../domain/tree/launch.js';
import { TTY } from '../../domain/kinds/terminals/ioctl.js';
import { SYS } from '../../guest/hands/syscalls.js';
import type { KeptOutput } from './output.js';

/** Bytes that are written at once; a terminal gives no more at once either. */
const PIECE = 4096;
const PIECES = 16;
/** Pieces that are written to a pipe at once: each is taken whole or not at all (PIPE_BUF), by a terminal in part. */
const WRITES = 16;
/** How long one waits for more to be shown, or for room (ms): the longer, the longer there was none. */
const SHORTEST = 3;
const LONGEST = 80;
const SLOWER = 1.4;
/** Of a terminal that shows more and more, this is read in the end. */
const MOST_AT_END = 2 ** 20;
const EPIPE = 32;
/** Ctrl-D: the end of what is typed, for a program that reads lines. */
const END_OF_INPUT = Uint8Array.of(4);

/** What can be written to a program. */
export type InputData = Uint8Array | string;

/** Standard input of a program, as it is written from outside. */
export interface DomainInput {
  /**
   * Resolves when the program, or the pipe before it, has taken it. Rejects with DomainError `state` when it reads no more, `ended`
   * when the domain has ended.
   */
  write(data: InputData): Promise<void>;
  /** The end of the input, behind all that was written; at a terminal Ctrl-D. */
  end(): Promise<void>;
}

export class HostSide implements DomainInput {
  readonly #end: HostEnd;
  /** Operations one after the other, and writes too: none comes between the pieces of another. */
  readonly #operations = new Sequence();
  readonly #writes = new Sequence();
  #now: Promise<unknown> = Promise.resolve();
  #gate: Promise<void> | undefined;
  #open: () => void = () => undefined;
  readonly #sleepers = new Set<() => void>();
  #closed = false;
  #inputEnded = false;

  constructor(
    /** As it is at the moment. */
    private readonly domain: () => RunningDomain,
    private readonly output: KeptOutput,
    readonly isTerminal: boolean,
  ) {
    this.#end = isTerminal ? 'terminal' : 'stdin';
    if (isTerminal) void this.#watch();
  }

  write(data: InputData): Promise<void> {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data.slice();
    return this.#writes.run(async () => {
      if (this.#inputEnded) throw new DomainError('state', 'the input has come to its end');
      let pause = SHORTEST;
      for (let at = 0; at < bytes.length;) {
        const wrote = await this.#operation((domain, fd) =>
          writeSome(domain, fd, bytes.subarray(at), this.isTerminal ? 1 : WRITES),
        );
        at += wrote;
        pause = wrote > 0 ? SHORTEST : Math.min(LONGEST, pause * SLOWER);
        if (at < bytes.length && wrote === 0) await this.#wait(pause);
      }
      // What it says to that may come at once.
      this.#wake();
    });
  }

  async end(): Promise<void> {
    if (this.isTerminal) return this.write(END_OF_INPUT);
    await this.#writes.run(async () => {
      if (this.#inputEnded || this.#closed) return;
      this.#inputEnded = true;
      await this.#operation(({ anchor }) => closeEnds(anchor));
    });
  }

  /** Throws DomainError `state` for no size. */
  async resize(size: WindowSize): Promise<void> {
    if (!this.isTerminal || !isWindowSize(size))
      throw new DomainError('state', `${size.columns} by ${size.rows} is no size of a terminal`);
    await this.#operation(async ({ hands }, fd) => {
      const b = hands.batch();
      const set = b.call(SYS.ioctl, fd, TTY.TIOCSWINSZ, b.bytes(windowOf(size)));
      check((await b.run()).value(set), 'setting the size of a terminal');
    });
  }

  /** From now on nothing is written or read, until {@link release}; resolves when what was begun is done. */
  async hold(): Promise<void> {
    this.#gate ??= new Promise((resolve) => (this.#open = resolve));
    await this.#now.catch(() => undefined);
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  /** What is shown and not read yet. */
  async drain(): Promise<void> {
    if (!this.isTerminal || this.#closed) return;
    for (let read = 0; read < MOST_AT_END;) {
      const pieces = await this.#operation(readSome);
      if (pieces.length === 0) return;
      for (const piece of pieces) {
        read += piece.length;
        void this.output.add(piece);
      }
    }
  }

  /** The domain has ended, or is about to be removed. */
  close(): void {
    this.#closed = true;
    this.release();
    this.#wake();
  }

  /** Shows what comes, until the end. */
  async #watch(): Promise<void> {
    for (let pause = SHORTEST; !this.#closed;) {
      try {
        const pieces = await this.#operation(readSome);
        // All at once: what was read is kept and told of before the end is, however slow those are who listen.
        await Promise.all(pieces.map((piece) => this.output.add(piece)));
        pause = pieces.length > 0 ? SHORTEST : Math.min(LONGEST, pause * SLOWER);
      } catch {
        // The instance is gone, or the terminal: whoever looks after the domain will see it.
        pause = LONGEST;
      }
      if (await this.#wait(pause)) pause = SHORTEST;
    }
  }

  /** Answers whether it was woken before. */
  #wait(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const rise = (woken: boolean): void => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve(woken);
      };
      const wake = (): void => rise(true);
      const timer = setTimeout(() => rise(false), milliseconds);
      this.#sleepers.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#sleepers]) wake();
  }

  #operation<T>(work: (domain: RunningDomain, fd: number) => Promise<T>): Promise<T> {
    return this.#operations.run(async () => {
      while (this.#gate !== undefined) await this.#gate;
      const domain = this.domain();
      const fd = domain.anchor.ends.get(this.#end);
      if (this.#closed || fd === undefined)
        throw new DomainError('ended', `domain ${domain.spec.name} has ended, or reads no more`);
      const now = work(domain, fd);
      this.#now = now;
      return now;
    });
  }
}

/** Answers how many bytes there was room for. Throws DomainError `state` when nobody reads any more. */
async function writeSome(
  { hands, spec }: RunningDomain,
  fd: number,
  bytes: Uint8Array,
  pieces: number,
): Promise<number> {
  const b = hands.batch();
  const refs = Array.from({ length: Math.min(pieces, Math.ceil(bytes.length / PIECE)) }, (_, i) => {
    const piece = bytes.subarray(i * PIECE, (i + 1) * PIECE);
    return b.must(SYS.write, fd, b.bytes(piece), piece.length);
  });
  const r = await b.run();
  let wrote = 0;
  for (const ref of refs) {
    const n = r.value(ref);
    if (n === -EPIPE) throw new DomainError('state', `domain ${spec.name} reads its input no more`);
    // EIO: at the moment nobody has the terminal open.
    if (n === -EAGAIN || n === -EIO) break;
    wrote += check(n, 'writing to a domain');
  }
  return wrote;
}

/** What a terminal shows by now. */
async function readSome({ hands }: RunningDomain, fd: number): Promise<Uint8Array[]> {
  const b = hands.batch();
  const reads = Array.from({ length: PIECES }, () => {
    const buf = b.out(PIECE);
    return { buf, n: b.mustFind(SYS.read, fd, buf, PIECE) };
  });
  const r = await b.run();
  const pieces: Uint8Array[] = [];
  for (const { buf, n } of reads) {
    const length = r.value(n);
    if (length <= 0) break;
    pieces.push(r.bytes(buf, length));
  }
  return pieces;
}
