import type { Ref, Batch } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, MADV, MAP, O, PROT } from '../linux/flags.js';
import type { Tracee } from '../trace/tracee.js';
import { identity, type TargetVma } from '../memory/layout.js';
import { Protections } from './protections.js';
import { intersect, normalize, subtract, type Range } from '../memory/ranges.js';

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
 * still runs, then the differences. Until {@link protect}, private memory that has pages of its own is writable, so
 * that it can be populated and its pages exchanged.
 */
export class MemoryBuilder {
  #pieces: Piece[] = [];
  #populated: Range[] = [];
  readonly #protections = new Protections();

  constructor(
    readonly tracee: Tracee,
    /** Descriptor, in the process, of the memory object with this key. */
    readonly objectFd: (key: string) => Promise<number>,
  ) {}

  /** Makes the mappings be those of `target`, keeping what fits already. */
  async shape(target: readonly TargetVma[]): Promise<void> {
    const wanted = target.map((vma): Piece => ({ start: vma.start, end: vma.end, id: identity(vma), vma }));
    const keep: Piece[] = [];
    const make: Piece[] = [];
    const same = new Map<string, Range[]>();
    for (const p of this.#pieces) same.set(p.id, [...(same.get(p.id) ?? []), p]);
    for (const p of wanted) {
      const there = normalize(same.get(p.id) ?? []);
      for (const r of intersect([p], there)) keep.push({ ...p, ...r });
      for (const r of subtract([p], there)) make.push({ ...p, ...r });
    }
    const drop = subtract(normalize(this.#pieces), normalize(keep));

    const steps: ((b: Batch) => Ref[])[] = [];
    for (const r of drop) steps.push((b) => [b.call(SYS.munmap, r.start, r.end - r.start)]);
    for (const p of make) steps.push(await this.#mapStep(p));
    await this.#inBatches(steps, 'mapping memory');
    for (const r of drop) this.#protections.clear(r);
    for (const p of make) this.#protections.set(p, p.vma.prot);
    await this.#warm(make);
    this.#pieces = [...keep, ...make].sort((a, b) => a.start - b.start);
    this.#populated = intersect(this.#populated, normalize(keep));
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
      case 'anonymous': {
        const extra = vma.path === '[stack]' ? MAP.GROWSDOWN | MAP.STACK : 0;
        // What the original was promised without being accounted for shall not be refused here.
        const reserve = isReservation(vma) || length > LARGE ? MAP.NORESERVE : 0;
        return (b) => [
          b.call(SYS.mmap, p.start, length, prot, share | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE | extra | reserve, -1, 0),
        ];
      }
      case 'file': {
        const flags = vma.shared && (vma.prot & PROT.WRITE) !== 0 ? O.RDWR : O.RDONLY;
        return (b) => {
          const fd = b.call(SYS.openat, AT_FDCWD, b.str(vma.path), flags | O.CLOEXEC, 0);
          const at = b.call(SYS.mmap, p.start, length, prot, share | MAP.FIXED_NOREPLACE, fd, offset);
          b.call(SYS.close, fd);
          return [fd, at];
        };
      }
      case 'object': {
        const fd = await this.objectFd(vma.backing.key);
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
    const steps: ((b: Batch) => Ref[])[] = [];
    for (const p of this.#pieces) {
      if (p.vma.shared || isReservation(p.vma) || intersect([p], ranges).length === 0) continue;
      const prot = p.vma.prot | PROT.READ | PROT.WRITE;
      for (const r of this.#protections.within(p)) {
        if (r.prot === prot) continue;
        steps.push((b) => [b.call(SYS.mprotect, r.start, r.end - r.start, prot)]);
        this.#protections.set(r, prot);
      }
    }
    await this.#inBatches(steps, 'making memory writable');
  }

  /** Lets pages of the process's own exist in these ranges. */
  async populate(ranges: readonly Range[]): Promise<void> {
    const missing = subtract(this.own(ranges), this.#populated);
    await this.open(missing);
    // A range may cross mappings of different kinds; the kernel walks them all. In pieces, so that a process
    // never stays away long enough to be taken for lost.
    let steps: ((b: Batch) => Ref[])[] = [];
    let bytes = 0;
    for (const r of missing) {
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
    this.#populated = normalize([...this.#populated, ...missing]);
  }

  /** Gives every mapping its own protection. */
  async protect(): Promise<void> {
    const steps: ((b: Batch) => Ref[])[] = [];
    for (const p of this.#pieces) {
      const { prot } = p.vma;
      for (const r of this.#protections.within(p)) {
        if (r.prot === prot) continue;
        steps.push((b) => [b.call(SYS.mprotect, r.start, r.end - r.start, prot)]);
        this.#protections.set(r, prot);
      }
    }
    await this.#inBatches(steps, 'protecting memory');
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

/** Address space held free: no access, and (as far as we move it) no pages. */
function isReservation(v: TargetVma): boolean {
  return v.prot === PROT.NONE;
}
