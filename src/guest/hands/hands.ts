import { Batch, BatchResult, type Arg, type LaidOut } from './batch.js';
import { HandsError } from './errors.js';

/**
 * The way from the host to one agent in a guest. One implementation rings through shared memory
 * (mailbox.ts); any agent that can run system calls as told could be another.
 */
export interface HandsTransport {
  /** Guest address of the agent's scratch memory, 8-byte aligned. */
  readonly base: number;
  /** Bytes of scratch memory. */
  readonly size: number;
  /** Most calls in one batch. */
  readonly maxCalls: number;
  /** Runs the calls in order; answers one result per call, and the bytes of the wanted range. */
  run(work: LaidOut): Promise<{ results: BigInt64Array; output: Uint8Array }>;
}

/**
 * System calls in a guest, made by the host. Calls of different callers are queued, batches are never
 * torn apart.
 *
 *     const pid = await hands.syscall(SYS.getpid);
 */
export class Hands {
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly transport: HandsTransport,
    /** For messages: which OS instance this is. */
    readonly name = 'guest',
  ) {}

  batch(): Batch {
    return new Batch((b) => this.run(b));
  }

  /** One system call without buffers. Answers its result, or `-errno`. */
  async syscall(nr: number, ...args: Arg[]): Promise<number> {
    const b = this.batch();
    const ref = b.call(nr, ...args);
    return (await b.run()).value(ref);
  }

  run(batch: Batch): Promise<BatchResult> {
    const turn = this.#last.then(async () => {
      if (batch.length > this.transport.maxCalls) {
        throw new HandsError('batch-too-large', `${batch.length} calls, at most ${this.transport.maxCalls} fit`);
      }
      const work = batch.layout(this.transport.base);
      if (Math.max(work.outEnd, work.input.length) > this.transport.size) {
        throw new HandsError('batch-too-large', `${work.outEnd} bytes, at most ${this.transport.size} fit`);
      }
      const { results, output } = await this.transport.run(work);
      return new BatchResult(batch, results, output, work.outStart);
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
