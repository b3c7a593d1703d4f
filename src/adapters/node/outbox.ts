/**
 * What waits to be written to a socket. Small chunks are gathered in blocks: a guest that sends single octets would
 * otherwise have the host keep some hundred bytes for each of them.
 */

/** Chunks from this size on are kept as they are. */
const SMALL = 512;
const MAX_BLOCK = 16 * 1024;

export class Outbox {
  #chunks: Uint8Array[] = [];
  /** The last block that small chunks were gathered in, and how much of it is used; it is not among the chunks yet. */
  #block: Uint8Array | undefined;
  #used = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** A large chunk must not change any more; a small one is copied. */
  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (chunk.length >= SMALL) {
      this.#seal();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#block === undefined) {
      this.#block = chunk.slice();
      this.#used = chunk.length;
      return;
    }
    if (this.#used + chunk.length > this.#block.length) {
      if (this.#used + chunk.length > MAX_BLOCK) {
        this.#seal();
        this.push(chunk);
        this.#bytes -= chunk.length;
        return;
      }
      const larger = new Uint8Array(Math.min(MAX_BLOCK, Math.max(256, 2 * (this.#used + chunk.length))));
      larger.set(this.#block.subarray(0, this.#used));
      this.#block = larger;
    }
    this.#block.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  /** All of it, in order; the outbox is empty afterwards. */
  take(): Uint8Array[] {
    this.#seal();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  #seal(): void {
    if (this.#block === undefined) return;
    this.#chunks.push(this.#used === this.#block.length ? this.#block : this.#block.subarray(0, this.#used));
    this.#block = undefined;
  }
}
