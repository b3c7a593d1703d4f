/** Where a request's data lies in the computer's memory: runs of bytes, neighbours joined. Reused from request to request. */
export class MemoryRuns {
  /** Runs in the list. */
  count = 0;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Views handed out before: a guest uses the same buffers again and again. */
  readonly #kept: Uint8Array[] = [];
  readonly #views: Uint8Array[] = [];

  constructor(private readonly bytes: Uint8Array) {}

  clear(): void {
    this.count = 0;
  }

  /** Appends `length` bytes at byte offset `at`. */
  add(at: number, length: number): void {
    const { count } = this;
    if (count > 0 && this.#ends[count - 1] === at) {
      this.#ends[count - 1] = at + length;
      return;
    }
    this.#starts[count] = at;
    this.#ends[count] = at + length;
    this.count++;
  }

  start(i: number): number {
    return this.#starts[i];
  }
  end(i: number): number {
    return this.#ends[i];
  }

  /** The bytes themselves, run by run; valid until the next call. */
  views(): readonly Uint8Array[] {
    const views = this.#views;
    views.length = this.count;
    for (let i = 0; i < this.count; i++) {
      const start = this.#starts[i];
      const length = this.#ends[i] - start;
      let view = this.#kept[i];
      if (view?.byteOffset !== start || view.length !== length) {
        view = this.bytes.subarray(start, start + length);
        this.#kept[i] = view;
      }
      views[i] = view;
    }
    return views;
  }
}
