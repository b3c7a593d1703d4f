import { HandsError } from './errors.js';

/** A call's place in its batch: as an argument of a later call it stands for the earlier call's result. */
export class Ref {
  constructor(
    readonly batch: Batch,
    readonly index: number,
  ) {}
}

/** A piece of guest memory that lives as long as its batch. As an argument it stands for its address. */
export class Buf {
  /** Bytes from the start of the batch's data; known once the batch is laid out. */
  offset = -1;
  constructor(
    readonly length: number,
    /** What stands there before the first call; absent for memory the calls only write. */
    readonly initial: Uint8Array | undefined,
    /** Whether the host wants to read it afterwards. */
    readonly wanted: boolean,
  ) {}
}

/** A place inside a buffer. */
export class Place {
  constructor(
    readonly buf: Buf,
    readonly at: number,
  ) {}
}

/** An argument of a system call: a number, a buffer, or what another call of the batch returned. */
export type Arg = number | bigint | Ref | Buf | Place;

interface Call {
  readonly nr: number;
  readonly args: readonly Arg[];
  readonly must: Must;
}

/** What ends a batch: nothing; a failure; a failure, or a result of 0. */
type Must = 'no' | 'succeed' | 'find';

/** The result value of a call that was not run, because one that had to succeed before it did not. */
export const NOT_RUN = -125n; // -ECANCELED

/** A flag in {@link LaidOut.onFailure}. */
export const ZERO_FAILS = 0x8000;

/** Batches laid out, one after the other, for memory at a known address. */
export interface LaidOut {
  readonly count: number;
  /** One row per call: number, six arguments. */
  readonly rows: BigInt64Array;
  /** refs[6 * i + j]: 1 + index of the call whose result is argument j of call i, or 0. */
  readonly refs: Uint16Array;
  /**
   * onFailure[i]: the call to go on with if call i fails, those between being left out; 0: the next one, as always.
   * With {@link ZERO_FAILS}, a result of 0 is a failure too.
   */
  readonly onFailure: Uint16Array;
  /** What to place at the start of the data before the first call. */
  readonly input: Uint8Array;
  /** The range of the data to bring back after the last call. */
  readonly outStart: number;
  readonly outEnd: number;
}

const utf8 = new TextEncoder();

/**
 * Several system calls that run one after another without a hand-over to the host between them,
 * with the memory they use.
 *
 *     const b = hands.batch();
 *     const fd = b.call(SYS.openat, AT.FDCWD, b.str('/proc/uptime'), 0, 0);
 *     const text = b.out(64);
 *     const n = b.call(SYS.read, fd, text, 64);
 *     b.call(SYS.close, fd);
 *     const r = await b.run();
 *     r.bytes(text, r.value(n));
 */
export class Batch {
  readonly #calls: Call[] = [];
  readonly #bufs: Buf[] = [];
  readonly #pointers: { readonly at: Place; readonly to: Place }[] = [];
  readonly #runner: ((batch: Batch) => Promise<BatchResult>) | undefined;

  constructor(runner?: (batch: Batch) => Promise<BatchResult>) {
    this.#runner = runner;
  }

  get length(): number {
    return this.#calls.length;
  }

  /** Whether one of the calls is one of these system calls. */
  has(numbers: readonly number[]): boolean {
    return this.#calls.some((c) => numbers.includes(c.nr));
  }

  /** Adds a call; its failure is a value like any other. */
  call(nr: number, ...args: Arg[]): Ref {
    return this.#add(nr, args, 'no');
  }

  /** Adds a call whose failure ends the batch: later calls answer {@link NOT_RUN}. */
  must(nr: number, ...args: Arg[]): Ref {
    return this.#add(nr, args, 'succeed');
  }

  /** As {@link must}, for a call that answers 0 when it found nothing, as wait4(2) does. */
  mustFind(nr: number, ...args: Arg[]): Ref {
    return this.#add(nr, args, 'find');
  }

  #add(nr: number, args: Arg[], must: Must): Ref {
    if (args.length > 6) throw new HandsError('misuse', `system call ${nr} was given ${args.length} arguments`);
    for (const a of args) {
      if (a instanceof Ref && a.batch !== this)
        throw new HandsError('misuse', 'a result of another batch is no argument');
    }
    this.#calls.push({ nr, args, must });
    return new Ref(this, this.#calls.length - 1);
  }

  /** Memory that holds `bytes` before the first call. */
  bytes(bytes: Uint8Array): Buf {
    return this.#buf(new Buf(bytes.length, bytes, false));
  }

  /** A NUL-terminated string. */
  str(text: string): Buf {
    const bytes = utf8.encode(text);
    const z = new Uint8Array(bytes.length + 1);
    z.set(bytes);
    return this.bytes(z);
  }

  /** Memory that the calls write and the host reads afterwards. */
  out(length: number): Buf {
    return this.#buf(new Buf(length, undefined, true));
  }

  /** Memory that holds `bytes` before the first call and that the host reads afterwards. */
  inout(bytes: Uint8Array): Buf {
    return this.#buf(new Buf(bytes.length, bytes, true));
  }

  /** An address inside a buffer. */
  at(buf: Buf, at: number): Place {
    return new Place(buf, at);
  }

  /** Writes the address of `to` as a 64-bit word at `at` bytes into `buf` (iovecs, message headers, clone arguments). */
  pointer(buf: Buf, at: number, to: Buf | Place): void {
    this.#pointers.push({ at: new Place(buf, at), to: to instanceof Buf ? new Place(to, 0) : to });
  }

  /** A `struct iovec` array over the given buffers. */
  iovec(...bufs: (Buf | readonly [address: number, length: number])[]): Buf {
    const bytes = new Uint8Array(16 * bufs.length);
    const view = new DataView(bytes.buffer);
    const iov = this.bytes(bytes);
    bufs.forEach((b, i) => {
      if (b instanceof Buf) {
        view.setBigUint64(16 * i + 8, BigInt(b.length), true);
        this.pointer(iov, 16 * i, b);
      } else {
        view.setBigUint64(16 * i, BigInt(b[0]), true);
        view.setBigUint64(16 * i + 8, BigInt(b[1]), true);
      }
    });
    return iov;
  }

  #buf(buf: Buf): Buf {
    this.#bufs.push(buf);
    return buf;
  }

  /** Gives the batch to whoever made it. */
  run(): Promise<BatchResult> {
    if (this.#runner === undefined) throw new HandsError('misuse', 'this batch has nobody to run it');
    return this.#runner(this);
  }

  /** Bytes of memory that it takes. */
  get size(): number {
    return this.#bufs.reduce((n, b) => n + aligned(b.length), 0);
  }

  /**
   * Lays batches out at guest address `base`, to be run as one. Of the memory of all of them first comes what is
   * only read, then what is read and wanted back, then what is only wanted back, so that one copy in and one copy
   * out serve.
   */
  static layOut(batches: readonly Batch[], base: number): LaidOut {
    const bufs = batches.flatMap((b) => b.#bufs);
    let end = 0;
    const place = (pick: (b: Buf) => boolean): number => {
      for (const b of bufs) {
        if (!pick(b)) continue;
        b.offset = end;
        end += aligned(b.length);
      }
      return end;
    };
    const outStart = place((b) => !b.wanted);
    const inputEnd = place((b) => b.wanted && b.initial !== undefined);
    const outEnd = place((b) => b.wanted && b.initial === undefined);

    const input = new Uint8Array(inputEnd);
    for (const b of bufs) if (b.initial !== undefined) input.set(b.initial, b.offset);
    const view = new DataView(input.buffer);
    for (const { at, to } of batches.flatMap((b) => b.#pointers)) {
      view.setBigUint64(at.buf.offset + at.at, BigInt(base + to.buf.offset + to.at), true);
    }

    const count = batches.reduce((n, b) => n + b.length, 0);
    const rows = new BigInt64Array(7 * count);
    const refs = new Uint16Array(6 * count);
    const onFailure = new Uint16Array(count);
    let first = 0;
    for (const batch of batches) {
      const after = first + batch.length;
      batch.#calls.forEach((call, k) => {
        const i = first + k;
        rows[7 * i] = BigInt(call.nr);
        onFailure[i] = call.must === 'no' ? 0 : call.must === 'find' ? after | ZERO_FAILS : after;
        call.args.forEach((arg, j) => {
          if (arg instanceof Ref) refs[6 * i + j] = first + arg.index + 1;
          else rows[7 * i + 1 + j] = argument(arg, base);
        });
      });
      first = after;
    }
    return { count, rows, refs, onFailure, input, outStart, outEnd };
  }

  /** Each batch's part of what batches that were laid out together came to. */
  static results(batches: readonly Batch[], work: LaidOut, results: BigInt64Array, output: Uint8Array): BatchResult[] {
    let first = 0;
    return batches.map((b) => {
      const own = results.subarray(first, first + b.length);
      first += b.length;
      return new BatchResult(b, own, output, work.outStart);
    });
  }
}

const aligned = (length: number): number => (length + 7) & ~7;

function argument(arg: number | bigint | Buf | Place, base: number): bigint {
  if (arg instanceof Buf) return BigInt(base + arg.offset);
  if (arg instanceof Place) return BigInt(base + arg.buf.offset + arg.at);
  return BigInt.asIntN(64, BigInt(arg));
}

/** What a batch came to. */
export class BatchResult {
  constructor(
    readonly batch: Batch,
    readonly results: BigInt64Array,
    readonly output: Uint8Array,
    readonly outStart: number,
  ) {}

  /** The result of a call: what it returned, or `-errno`. Exact up to 2^53, which every address and size is. */
  value(ref: Ref): number {
    return Number(this.results[ref.index] ?? NOT_RUN);
  }

  /** The result of a call that had to succeed. Throws `call-failed` with `what` in the message. */
  ok(ref: Ref, what: string): number {
    const v = this.value(ref);
    if (v < 0 && v >= -4095) throw new HandsError('call-failed', `${what}: errno ${-v}`, -v);
    return v;
  }

  /** What stands in a buffer after the last call; a copy. */
  bytes(buf: Buf, length = buf.length): Uint8Array {
    const at = buf.offset - this.outStart;
    return this.output.slice(at, at + Math.max(0, Math.min(length, buf.length)));
  }

  view(buf: Buf): DataView {
    return new DataView(this.bytes(buf).buffer);
  }
}
