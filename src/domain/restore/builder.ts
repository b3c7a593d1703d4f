import type { Ref, Batch } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, MADV, MAP, O, PROT } from '../linux/flags.js';
import type { Tracee } from '../trace/tracee.js';
import { growsDown, identity, isWritable, segmentOf, type TargetVma } from '../memory/layout.js';
import { attachSegments } from './segments.js';
import { Protections } from './protections.js';
import { intersect, normalize, subtract, touching, type Range } from '../memory/ranges.js';
import { together } from '../together.js';

/** One piece of the address space under construction. */
interface Piece extends Range {
  readonly id: string;
  readonly vma: TargetVma;
}

const CALLS_PER_BATCH = 300;
/** Bytes from which on a mapping may exceed what the kernel would promise. */
const LARGE = 256 * 2 ** 20;
const POPULATE_PIECE = 4 * 2 ** 20;

/**
 * Builds the mappings of a process that is being restored, in steps: a first shape while the original
 * still runs, then the differences. Until {@link protect}, private memory that is to have pages of its own is writable, so
 * that it can be populated. Nothing here takes longer than in proportion to the mappings.
 */
export class MemoryBuilder {
  #pieces: Piece[] = [];
  #populated: Range[] = [];
  /** Pages that came from who begot it, or are there for those whom it begets. */
  #inherited: Range[] = [];
  readonly #protections = new Protections();

  constructor(
    readonly tracee: Tracee,
    /** Descriptors, in the process. */
    readonly fds: {
      /** Of the memory object with this key: to write it, or to read it only. */
      readonly object: (key: string, writable: boolean) => Promise<number>;
      /** Of the file at a place, a new one each time. */
      readonly place: (place: string, flags: number) => Promise<number>;
    },
  ) {}

  /** The process has been begotten, and has all that the other one has. */
  inherit(from: MemoryBuilder): void {
    this.#pieces = [...from.#pieces];
    this.#inherited = from.#inherited;
    this.#protections.set(from.#protections.all);
  }

  /** Those of these, in order, where something is mapped that was not there before this began. */
  mapped<T extends Range>(ranges: readonly T[]): T[] {
    return touching(ranges, this.#pieces);
  }

  /**
   * Gets new pages for those to inherit whom the process begets from now on: in place of those that it has there. `regions`:
   * mappings for them; where one cannot be made there will be no pages.
   */
  async carry(regions: readonly TargetVma[], pages: readonly Range[]): Promise<void> {
    const there = new Set(this.mapped(regions));
    const make = regions.filter((r) => !there.has(r)).map((vma) => piece(vma));
    const steps = await together(make.map((p) => this.#mapStep(p)));
    const made: Piece[] = [];
    for (let start = 0; start < make.length; start += CALLS_PER_BATCH) {
      const b = this.tracee.batch();
      const refs = steps.slice(start, start + CALLS_PER_BATCH).map((s) => s(b));
      const r = await b.run();
      refs.forEach((all, i) => {
        if (all.every((ref) => r.value(ref) >= 0)) made.push(make[start + i]);
      });
    }
    this.#pieces = [...this.#pieces, ...made].sort((a, b) => a.start - b.start);
    this.#protections.set(made.map(({ start, end, vma: { prot } }) => ({ start, end, prot })));
    const own = this.own(pages);
    await this.#renew(own);
    this.#inherited = normalize([...this.#inherited, ...own]);
  }

  /** Nobody else will inherit. Of what it has for that, or has from others, it keeps these pages, as far as it shall have them. */
  async settle(target: readonly TargetVma[], keep: readonly Range[]): Promise<void> {
    if (this.#pieces.length === 0) return;
    const { keep: stay } = compareLayouts(this.#pieces, target.filter((v) => v.backing.kind !== 'ring').map(piece));
    const stays = normalize(stay);
    await this.#unmap(subtract(normalize(this.#pieces), stays));
    this.#pieces = stay;
    const here = intersect(this.#inherited, stays);
    await this.#drop(subtract(here, keep));
    this.#inherited = intersect(here, keep);
    this.#populated = this.#inherited;
  }

  /** Pages that it has in common with others. */
  get inherited(): readonly Range[] {
    return this.#inherited;
  }

  /** These are not in common any more, in the original: others have what was in these, or it has nothing there. */
  async part(apart: readonly Range[]): Promise<void> {
    await this.#drop(apart);
    this.#inherited = subtract(this.#inherited, apart);
    this.#populated = subtract(this.#populated, apart);
  }

  async #drop(ranges: readonly Range[]): Promise<void> {
    await this.#inBatches(
      ranges.map((r) => (b: Batch) => [b.call(SYS.madvise, r.start, r.end - r.start, MADV.DONTNEED)]),
      'giving up memory',
    );
  }

  async #unmap(ranges: readonly Range[]): Promise<void> {
    await this.#inBatches(
      ranges.map((r) => (b: Batch) => [b.call(SYS.munmap, r.start, r.end - r.start)]),
      'unmapping memory',
    );
    this.#protections.clear(ranges);
  }

  /** Makes the mappings be those of `target`, which is in order, keeping what fits already. */
  async shape(target: readonly TargetVma[]): Promise<void> {
    const wanted = target.filter((vma) => vma.backing.kind !== 'ring').map(piece);
    const { keep, make } = compareLayouts(this.#pieces, wanted);
    const drop = subtract(normalize(this.#pieces), normalize(keep));

    const steps: ((b: Batch) => Ref[])[] = [];
    for (const r of drop) steps.push((b) => [b.call(SYS.munmap, r.start, r.end - r.start)]);
    for (const p of make) if (segmentBehind(p.vma) === undefined) steps.push(await this.#mapStep(p));
    await this.#inBatches(steps, 'mapping memory');
    await attachSegments(
      this.tracee,
      make.flatMap((p) => {
        const segment = segmentBehind(p.vma);
        return segment === undefined ? [] : [{ ...p, segment }];
      }),
      wanted,
    );
    this.#protections.clear(drop);
    this.#protections.set(make.map(({ start, end, vma: { prot } }) => ({ start, end, prot })));
    await this.#warm(make);
    this.#pieces = [...keep, ...make].sort((a, b) => a.start - b.start);
    this.#populated = intersect(this.#populated, normalize(keep));
    this.#inherited = intersect(this.#inherited, this.#populated);
  }

  /**
   * Has the kernel enter the pages of programs and libraries that it has in memory: each would cost the process a fault
   * when it goes on, while its clients wait. Only a help: what cannot be entered is faulted in later.
   */
  async #warm(pieces: readonly Piece[]): Promise<void> {
    const text = pieces.filter((p) => p.vma.backing.kind === 'file' && (p.vma.prot & PROT.WRITE) === 0);
    for (let start = 0; start < text.length; start += CALLS_PER_BATCH) {
      const b = this.tracee.batch();
      for (const p of text.slice(start, start + CALLS_PER_BATCH))
        b.call(SYS.madvise, p.start, p.end - p.start, MADV.POPULATE_READ);
      await b.run();
    }
  }

  async #mapStep(p: Piece): Promise<(b: Batch) => Ref[]> {
    const { vma } = p;
    const length = p.end - p.start;
    const { prot } = vma;
    const share = vma.shared ? MAP.SHARED : MAP.PRIVATE;
    const offset = vma.offset + (p.start - vma.start);
    switch (vma.backing.kind) {
      case 'ring':
        throw new DomainError('state', 'a ring is made with its context');
      case 'anonymous': {
        const { made } = vma;
        const extra = growsDown(vma) ? MAP.GROWSDOWN : 0;
        // What the original was promised without being accounted for shall not be refused here.
        const unreserved = (made?.noReserve ?? isReservation(vma)) || length > LARGE;
        const reserve = unreserved ? MAP.NORESERVE : 0;
        const sort = made?.droppable === true ? MAP.DROPPABLE : share;
        return (b) => [
          b.call(SYS.mmap, p.start, length, prot, sort | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE | extra | reserve, -1, 0),
        ];
      }
      case 'file': {
        const flags = vma.shared && isWritable(vma) ? O.RDWR : O.RDONLY;
        const there = vma.place === undefined ? undefined : await this.fds.place(vma.place, flags);
        return (b) => {
          const fd = there ?? b.call(SYS.openat, AT_FDCWD, b.str(vma.path), flags | O.CLOEXEC, 0);
          const at = b.call(SYS.mmap, p.start, length, prot, share | MAP.FIXED_NOREPLACE, fd, offset);
          b.call(SYS.close, fd);
          return typeof fd === 'number' ? [at] : [fd, at];
        };
      }
      case 'object': {
        const fd = await this.fds.object(vma.backing.key, vma.shared && isWritable(vma));
        return (b) => [b.call(SYS.mmap, p.start, length, prot, share | MAP.FIXED_NOREPLACE, fd, offset)];
      }
    }
  }

  /** Private memory of this process that lies in `ranges`, as far as it is mapped. */
  own(ranges: readonly Range[]): Range[] {
    return intersect(normalize(ranges), normalize(this.#pieces.filter((p) => !p.vma.shared)));
  }

  /** Makes private memory writable for the time until {@link protect}: every mapping that has a part in the ranges. */
  async open(ranges: readonly Range[]): Promise<void> {
    const opened = touching(this.#pieces, ranges).filter((p) => !p.vma.shared);
    await this.#give(opened, (p) => p.vma.prot | PROT.READ | PROT.WRITE, 'making memory writable');
  }

  /** Lets pages of the process's own exist in these ranges. */
  async populate(ranges: readonly Range[]): Promise<void> {
    const missing = subtract(this.own(ranges), this.#populated);
    await this.#renew(missing);
    this.#populated = normalize([...this.#populated, ...missing]);
  }

  /** Has new pages be in these ranges, where there are none, or such that others have, too. */
  async #renew(ranges: readonly Range[]): Promise<void> {
    await this.open(ranges);
    // A range may cross mappings of different kinds; the kernel walks them all. In pieces, so that a process
    // never stays away long enough to be taken for lost.
    let steps: ((b: Batch) => Ref[])[] = [];
    let bytes = 0;
    for (const r of ranges) {
      for (let start = r.start; start < r.end; start += POPULATE_PIECE) {
        const length = Math.min(POPULATE_PIECE, r.end - start);
        steps.push((b) => [b.call(SYS.madvise, start, length, MADV.POPULATE_WRITE)]);
        bytes += length;
        if (bytes < POPULATE_PIECE) continue;
        await this.#inBatches(steps, 'populating memory');
        steps = [];
        bytes = 0;
      }
    }
    await this.#inBatches(steps, 'populating memory');
  }

  /** Gives every mapping its own protection, but those that have a part in `except`. */
  async protect(except: readonly Range[] = []): Promise<void> {
    const open = new Set(touching(this.#pieces, except));
    const closed = open.size === 0 ? this.#pieces : this.#pieces.filter((p) => !open.has(p));
    await this.#give(closed, (p) => p.vma.prot, 'protecting memory');
  }

  async #give(pieces: readonly Piece[], protOf: (p: Piece) => number, what: string): Promise<void> {
    const wanted = pieces.map((p) => ({ start: p.start, end: p.end, prot: protOf(p) }));
    const changes = this.#protections.differing(wanted);
    await this.#inBatches(
      changes.map((r) => (b: Batch) => [b.call(SYS.mprotect, r.start, r.end - r.start, r.prot)]),
      what,
    );
    this.#protections.set(changes);
  }

  async #inBatches(steps: readonly ((b: Batch) => Ref[])[], what: string): Promise<void> {
    for (let start = 0; start < steps.length; start += CALLS_PER_BATCH) {
      const b = this.tracee.batch();
      const refs = steps.slice(start, start + CALLS_PER_BATCH).flatMap((s) => s(b));
      const r = await b.run();
      for (const ref of refs) {
        const v = r.value(ref);
        if (v < 0) throw new DomainError('guest', `${what} of process ${this.tracee.tid}: errno ${-v}`, { errno: -v });
      }
    }
  }
}

const piece = (vma: TargetVma): Piece => ({ start: vma.start, end: vma.end, id: identity(vma), vma });

/** What of the wanted mappings is there, and what is to be made; both lists of pieces are in order, as are the answers. */
function compareLayouts(there: readonly Piece[], wanted: readonly Piece[]): { keep: Piece[]; make: Piece[] } {
  const keep: Piece[] = [];
  const make: Piece[] = [];
  let k = 0;
  for (const p of wanted) {
    let at = p.start;
    const take = (list: Piece[], end: number): void => {
      const last = list.at(-1);
      // Parts of one mapping that lie side by side are one.
      if (last?.vma === p.vma && last.end === at) list[list.length - 1] = { ...last, end };
      else if (end > at) list.push({ ...p, start: at, end });
      at = end;
    };
    for (; k < there.length && there[k].end <= p.start; k++);
    for (let i = k; i < there.length && there[i].start < p.end; i++) {
      if (there[i].id !== p.id) continue;
      if (there[i].start > at) take(make, there[i].start);
      take(keep, Math.min(there[i].end, p.end));
    }
    if (at < p.end) take(make, p.end);
  }
  return { keep, make };
}

/** The System V segment that a mapping is a part of. */
function segmentBehind({ backing }: TargetVma): number | undefined {
  return backing.kind === 'object' ? segmentOf(backing.key) : undefined;
}

/** Address space held free: no access now. */
function isReservation(v: TargetVma): boolean {
  return v.prot === PROT.NONE;
}
