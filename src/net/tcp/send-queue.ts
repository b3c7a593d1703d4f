/**
 * What the application gave to be sent and the peer has not acknowledged: chunks as they came, never copied until a
 * frame is filled. Positions count bytes from the connection's first; they do not wrap.
 */
export class SendQueue {
  #chunks: Uint8Array[] = [];
  #starts: number[] = [];
  /** Index of the first live chunk; those before it are dead until the next compaction. */
  #first = 0;
  /** The chunk that was read last: sending is sequential nearly always. */
  #cursor = 0;
  /** Position of the first byte not acknowledged. */
  head = 0;
  /** Position after the last byte. */
  tail = 0;

  get length(): number {
    return this.tail - this.head;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#starts.push(this.tail);
    this.tail += chunk.length;
  }

  /** Drops `count` acknowledged bytes. */
  drop(count: number): void {
    this.head += count;
    while (this.#first < this.#chunks.length && this.#end(this.#first) <= this.head) {
      this.#chunks[this.#first] = EMPTY;
      this.#first++;
    }
    if (this.#first > 64 && this.#first * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#starts = this.#starts.slice(this.#first);
      this.#cursor = Math.max(0, this.#cursor - this.#first);
      this.#first = 0;
    }
  }

  clear(): void {
    this.#chunks = [];
    this.#starts = [];
    this.#first = 0;
    this.#cursor = 0;
    this.head = this.tail;
  }

  /** Copies `length` bytes from `offset` bytes after the head; the range must lie inside the queue. */
  copy(offset: number, length: number, target: Uint8Array, at: number): void {
    let position = this.head + offset;
    const end = position + length;
    let index = this.#find(position);
    let to = at;
    while (position < end) {
      const chunk = this.#chunks[index];
      const from = position - this.#starts[index];
      const take = Math.min(chunk.length - from, end - position);
      target.set(from === 0 && take === chunk.length ? chunk : chunk.subarray(from, from + take), to);
      to += take;
      position += take;
      if (from + take === chunk.length) index++;
    }
    this.#cursor = Math.min(index, this.#chunks.length - 1);
  }

  #end(index: number): number {
    return this.#starts[index] + this.#chunks[index].length;
  }

  #find(position: number): number {
    let index = Math.max(this.#cursor, this.#first);
    if (position < this.#starts[index]) {
      // A retransmission: near the head, as a rule.
      index = this.#first;
    }
    while (position >= this.#end(index)) index++;
    return index;
  }
}

const EMPTY = new Uint8Array(0);
