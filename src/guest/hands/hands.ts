import { Batch, type Arg, type BatchResult, type LaidOut } from './batch.js';
import { HandsError } from './errors.js';
import { Gathering } from './gathering.js';
import { SYS } from './syscalls.js';

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
 * System calls in a guest, made by the host. Batches of callers who do not wait for each other travel together
 * ({@link Gathering}); none is ever torn apart.
 *
 *     const pid = await hands.syscall(SYS.getpid);
 */
export class Hands {
  readonly #gathering = new Gathering<Batch, BatchResult>(
    () => ({ calls: this.transport.maxCalls, bytes: this.transport.size }),
    (batch) => ({ calls: batch.length, bytes: batch.size }),
    async (batches) => {
      const work = Batch.layOut(batches, this.transport.base);
      const { results, output } = await this.transport.run(work);
      return Batch.results(batches, work, results, output);
    },
  );

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
    return this.#gathering.run(batch);
  }

  /** Whether the OS instance with these hands has ended: nothing of it runs any more. */
  async hasEnded(): Promise<boolean> {
    try {
      await this.syscall(SYS.getpid);
      return false;
    } catch (e) {
      return e instanceof HandsError && e.code === 'gone';
    }
  }
}
