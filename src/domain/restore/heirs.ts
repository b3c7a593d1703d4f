import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { check, readText } from '../linux/os.js';
import { findHole, parseMaps } from '../proc/maps.js';
import { AREA_SIZE } from '../trace/runner.js';
import type { Tracee } from '../trace/tracee.js';
import { ANCHOR } from '../tree/tree.js';
import { MemoryBuilder } from './builder.js';
import { touching } from '../memory/ranges.js';
import type { Inheritance } from './inheritance.js';
import { addMoves, ELSEWHERE, ownMappings } from './vdso-place.js';

/** Carries out an {@link Inheritance} while processes are born: who begets gets the pages that others inherit. */
export class Heirs {
  readonly #builders = new Map<number, MemoryBuilder>();

  constructor(readonly plan: Inheritance) {}

  /** Frees the first process of what it has from the hands: mappings to come may be in the same places. */
  async begin(anchor: Tracee): Promise<void> {
    const { regions } = this.plan;
    if (regions.length === 0) return;
    const maps = parseMaps((await readText(anchor.hands, `/proc/${anchor.tid}/maps`)) ?? '');
    const { own, start, end } = ownMappings(maps);
    const area = { start: anchor.area, end: anchor.area + AREA_SIZE };
    const rest = maps.filter((v) => !own.includes(v) && !(v.start < area.end && v.end > area.start));
    const b = anchor.batch();
    const refs = rest.map((v) => b.call(SYS.munmap, v.start, v.end - v.start));
    if (regions.some((r) => r.start < end && r.end > start)) {
      const to = findHole([...regions, area, { start, end }], end - start, ELSEWHERE);
      if (to < 0) throw new DomainError('unsupported', 'no room', { resource: 'the whole address space' });
      refs.push(...addMoves(b, own, to - start));
    }
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), 'making room in the first process of the domain');
  }

  /** Before the birth with this index. `by`, in the domain, begets, and is `tracee`. */
  async beforeBirth(index: number, by: number, tracee: Tracee): Promise<void> {
    const pages = this.plan.before.get(index);
    if (pages === undefined) return;
    const regions = touching(this.plan.regions, pages);
    await this.#of(by, tracee).carry(regions, pages);
  }

  /** `memory`: of the process, if it stays. */
  born(pid: number, by: number, tracee: Tracee, memory = new MemoryBuilder(tracee, nothing)): void {
    const from = this.#builders.get(by);
    if (from !== undefined) memory.inherit(from);
    this.#builders.set(pid, memory);
  }

  /** All are born: the first process keeps nothing of it. */
  async end(): Promise<void> {
    await this.#builders.get(ANCHOR)?.settle([], []);
  }

  #of(pid: number, tracee: Tracee): MemoryBuilder {
    const known = this.#builders.get(pid) ?? new MemoryBuilder(tracee, nothing);
    this.#builders.set(pid, known);
    return known;
  }
}

const none = (name: string): Promise<number> =>
  Promise.reject(new DomainError('state', `what ${name} is the name of cannot be inherited`));
const nothing = { object: none, place: none };
