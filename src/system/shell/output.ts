/** What a command writes, until a mark. Takes time in proportion to its length, however it is cut into pieces. */
export class Output {
  #pieces: Uint8Array[] = [];
  #length = 0;
  /** Pieces that were searched, and the last bytes of them, in which a mark may have begun. */
  #searched = 0;
  #tail: Uint8Array = new Uint8Array(0);

  get length(): number {
    return this.#length;
  }

  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  /** Everything before `mark`, once it is there; the same mark has to be asked for until then. */
  before(mark: Uint8Array): Uint8Array | undefined {
    const fresh = this.#pieces.slice(this.#searched);
    if (fresh.length === 0) return undefined;
    const window = concat([this.#tail, ...fresh]);
    const at = indexOf(window, mark);
    if (at >= 0) return concat(this.#pieces).subarray(0, this.#length - window.length + at);
    this.#searched = this.#pieces.length;
    this.#tail = window.slice(Math.max(0, window.length - mark.length + 1));
    return undefined;
  }

  /** At most `count` bytes from its end. */
  end(count: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (let i = this.#pieces.length - 1; i >= 0 && length < count; i--) {
      pieces.unshift(this.#pieces[i]);
      length += this.#pieces[i].length;
    }
    return concat(pieces).slice(-count);
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function indexOf(bytes: Uint8Array, mark: Uint8Array): number {
  for (let at = bytes.indexOf(mark[0]); at >= 0; at = bytes.indexOf(mark[0], at + 1)) {
    let i = 1;
    while (i < mark.length && bytes[at + i] === mark[i]) i++;
    if (i === mark.length) return at;
  }
  return -1;
}
