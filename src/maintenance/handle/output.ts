/** What a domain writes: read out of its file in whichever instance it is, and kept, the end of it. */
import { AT_FDCWD, O } from '../../domain/linux/flags.js';
import { parseStat } from '../../domain/linux/os.js';
import type { RunningDomain } from '../../domain/tree/launch.js';
import { SYS } from '../../guest/hands/syscalls.js';

/** Bytes that are read at once. */
const PIECE = 0x20000;
/** A file that is longer is emptied: it would go along with every move. */
const MOST_FILE = 2 ** 20;

/** Takes new output as it comes. What a terminal shows waits for a promise that it answers: the program cannot go on writing. */
export type OnOutput = (bytes: Uint8Array) => void | Promise<void>;

/** The end of what was written, of at most so many bytes. */
export class KeptOutput {
  #pieces: Uint8Array[] = [];
  #length = 0;
  /** Bytes that were dropped because there were more. */
  dropped = 0;
  readonly #listeners = new Set<OnOutput>();

  constructor(private readonly most: number) {}

  /** Resolves when all who listen have room for more. */
  async add(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    for (let first = this.#pieces[0]; first !== undefined && this.#length - first.length >= this.most;) {
      this.#pieces.shift();
      this.#length -= first.length;
      this.dropped += first.length;
      first = this.#pieces[0];
    }
    await Promise.allSettled([...this.#listeners].map(async (listener) => listener(bytes)));
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all.subarray(Math.max(0, all.length - this.most));
  }

  /** Tells of what comes from now on, until the function that it answers is called. */
  listen(listener: OnOutput): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** Follows a file of a domain, as the domain sees it. */
export class OutputFile {
  #at = 0;
  constructor(
    private readonly path: string,
    private readonly kept: KeptOutput,
  ) {}

  /** Reads what there is by now. What is written meanwhile is the next look's, for one that writes on and on. */
  async drain(domain: RunningDomain): Promise<void> {
    const { hands, anchor } = domain;
    for (let end = Infinity; this.#at < end;) {
      const b = hands.batch();
      const path = b.str(`/proc/${anchor.pid}/root${this.path}`);
      const fd = b.must(SYS.openat, AT_FDCWD, path, O.RDONLY | O.CLOEXEC, 0);
      const stat = b.out(128);
      b.call(SYS.fstat, fd, stat);
      const out = b.out(PIECE);
      const got = b.call(SYS.pread64, fd, out, PIECE, this.#at);
      b.call(SYS.close, fd);
      const r = await b.run();
      const length = r.value(fd) < 0 ? 0 : r.value(got);
      if (length <= 0) return;
      end = Math.min(end, parseStat(r.view(stat)).size);
      this.#at += length;
      // A file holds what nobody has room for.
      void this.kept.add(r.bytes(out, length).slice());
    }
  }

  get isLong(): boolean {
    return this.#at > MOST_FILE;
  }

  /** Empties it. The domain must stand still: what it wrote in between would be lost. */
  async empty(domain: RunningDomain): Promise<void> {
    await this.drain(domain);
    const { hands, anchor } = domain;
    const b = hands.batch();
    const path = b.str(`/proc/${anchor.pid}/root${this.path}`);
    const fd = b.must(SYS.openat, AT_FDCWD, path, O.WRONLY | O.CLOEXEC, 0);
    const cut = b.call(SYS.ftruncate, fd, 0);
    b.call(SYS.close, fd);
    const r = await b.run();
    // Who writes appends, and so goes on at the begin.
    if (r.value(fd) >= 0 && r.value(cut) === 0) this.#at = 0;
  }
}
