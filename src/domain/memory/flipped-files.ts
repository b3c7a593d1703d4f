import type { Hands } from '../../guest/hands/hands.js';
import type { Ref } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, MADV, MAP, O, PROT } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import { together } from '../together.js';
import { pagesOf, populate, unmapAll, wholePages, type Mapped } from './mapped.js';
import type { FrameMover, Move } from './mover.js';
import { intersect, subtract, type Range } from './ranges.js';

const PAGE = 4096;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
/** A file may grow by as much before it is mapped anew. */
const TO_GROW = 2 ** 24;
/** Bytes of address space that may be taken for files of one domain, on both sides together: the hands have 256 GiB each (Sv39). */
const MOST_MAPPED = 2 ** 36;

/** A regular file of a file system in memory whose pages shall change places with those of its like in the destination. */
export interface FlippedFile {
  readonly key: string;
  readonly size: number;
  /** It takes at least as much room as it is long: it has no holes. */
  readonly full: boolean;
  /** A path of the source's hands. */
  readonly from: string;
  /** A path of the destination's hands: a regular file that nobody has. */
  readonly into: string;
}

/** What a file of a size takes of the hands' address spaces. */
export const roomFor = (size: number): number => 2 * (wholePages(size) + TO_GROW);

/** What is known of a file that was placed. */
interface Placed {
  from: Mapped | undefined;
  to: Mapped | undefined;
  /** Where the mapping in the destination has pages. */
  populated: readonly Range[];
  /** Which pages change places; undefined: it is to be looked at again. */
  data: readonly Range[] | undefined;
}

/**
 * Files in memory whose pages are frames like any others: they change places in the flip, and nothing of them is copied.
 * Each is mapped into the hands of both sides, before the freeze where it is known by then.
 *
 * What is here has no contents in the destination until the flip: what was placed while the domain ran must be placed
 * again, or dropped, when it stands still.
 */
export class FlippedFiles {
  readonly #placed = new Map<string, Placed>();
  #bytes = 0;
  /** Whether the domain stands still. */
  stands = false;

  constructor(
    readonly source: Hands,
    readonly to: Hands,
  ) {}

  /** Bytes of address space that there are for more files: see {@link roomFor}. */
  get room(): number {
    return MOST_MAPPED - this.#bytes;
  }

  /** Makes files in the destination as long as they are, with pages where the originals have some, all ready to change places. */
  async place(files: readonly FlippedFile[]): Promise<void> {
    await together(
      files.map(async (file) => {
        const placed = this.#placed.get(file.key) ?? { from: undefined, to: undefined, populated: [], data: undefined };
        this.#placed.set(file.key, placed);
        placed.data = undefined;
        const { stands } = this;
        try {
          const data = await this.#place(file, placed);
          if (stands) placed.data = data;
        } catch (e) {
          // Of a domain that runs, it may have changed under our hands.
          if (stands || !(e instanceof DomainError && e.code === 'guest')) throw e;
        }
      }),
    );
  }

  /** These get their contents otherwise, or are no more. */
  async drop(keys: readonly string[]): Promise<void> {
    const gone = keys.flatMap((key) => {
      const placed = this.#placed.get(key);
      this.#placed.delete(key);
      return placed === undefined ? [] : [placed.from, placed.to];
    });
    await this.#unmap(gone.filter((m) => m !== undefined));
  }

  async moves(mover: FrameMover): Promise<Move[]> {
    if (this.#placed.size === 0) return [];
    const [from, to] = await together([mover.handsSpace(this.source), mover.handsSpace(this.to)]);
    return [...this.#placed].flatMap(([key, placed]) => {
      const { data } = placed;
      if (data === undefined) throw new DomainError('state', `the contents of a file were not brought (${key})`);
      return data.map(({ start, end }) => ({
        from,
        fromVa: (placed.from?.at ?? 0) + start,
        to,
        toVa: (placed.to?.at ?? 0) + start,
        pages: (end - start) / PAGE,
      }));
    });
  }

  async close(): Promise<void> {
    await this.drop([...this.#placed.keys()]);
  }

  async #place(file: FlippedFile, placed: Placed): Promise<readonly Range[]> {
    const { source, to } = this;
    const opened: { readonly hands: Hands; readonly fd: number }[] = [];
    try {
      const [data, there] = await together([
        this.#open(source, file, placed, opened),
        this.#open(to, file, placed, opened),
      ]);
      const into = opened.find((o) => o.hands === to)?.fd ?? -1;
      const stale = subtract(there, data);
      await together([
        populate(source, placed.from?.at ?? 0, data, MADV.POPULATE_READ),
        (async () => {
          await punch(to, into, stale);
          placed.populated = subtract(placed.populated, stale);
          await populate(to, placed.to?.at ?? 0, subtract(data, placed.populated), MADV.POPULATE_WRITE);
          placed.populated = data;
        })(),
      ]);
      return data;
    } finally {
      await together(
        [source, to].map((hands) =>
          closeAll(
            hands,
            opened.flatMap((o) => (o.hands === hands ? o.fd : [])),
          ),
        ),
      );
    }
  }

  /** Opens and maps one side's file; answers where it has pages. */
  async #open(
    hands: Hands,
    { size, full, from, into }: FlippedFile,
    placed: Placed,
    opened: { readonly hands: Hands; readonly fd: number }[],
  ): Promise<Range[]> {
    const isSource = hands === this.source;
    const side = isSource ? 'from' : 'to';
    const before = placed[side];
    const fits = before !== undefined && before.bytes >= size;
    if (before !== undefined && !fits) {
      placed[side] = undefined;
      if (!isSource) placed.populated = [];
      await this.#unmap([before]);
    }
    const path = isSource ? from : into;
    const b = hands.batch();
    const flags = isSource ? O.RDONLY | O.NOATIME : O.RDWR;
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(path), flags | O.NOFOLLOW | O.NONBLOCK | O.CLOEXEC, 0);
    const sized = isSource ? undefined : b.must(SYS.ftruncate, fd, size);
    const bytes = wholePages(size) + TO_GROW;
    const prot = isSource ? PROT.READ : PROT.READ | PROT.WRITE;
    const at: Ref | undefined = fits ? undefined : b.call(SYS.mmap, 0, bytes, prot, MAP.SHARED, fd, 0);
    const r = await b.run();
    opened.push({ hands, fd: check(r.value(fd), `opening ${path}`) });
    if (sized !== undefined) {
      check(r.value(sized), `making ${path} as long as it was`);
      placed.populated = intersect(placed.populated, [{ start: 0, end: wholePages(size) }]);
    }
    if (at !== undefined) {
      placed[side] = { hands, at: check(r.value(at), `mapping ${path}`), bytes };
      this.#bytes += bytes;
    }
    if (isSource && full) return size === 0 ? [] : [{ start: 0, end: wholePages(size) }];
    return pagesOf(hands, r.value(fd), size, path);
  }

  async #unmap(mapped: readonly Mapped[]): Promise<void> {
    this.#bytes -= mapped.reduce((n, { bytes }) => n + bytes, 0);
    await unmapAll(mapped);
  }
}

/** Takes pages out of a file, so that it has holes there. */
async function punch(hands: Hands, fd: number, ranges: readonly Range[]): Promise<void> {
  await askAll(hands, ranges, 1, (b, { start, end }) => {
    const n = b.call(SYS.fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start);
    return (r) => check(r.value(n), 'making a hole in a file');
  });
}
