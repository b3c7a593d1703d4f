import type { Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { MADV } from '../linux/flags.js';
import { check, readFile } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import type { TargetVma } from './layout.js';
import type { Range } from './ranges.js';

/** What the kernel says of a mapping, besides its protection. */
export interface Advice extends Range {
  /** MADV_* values that a program has said of it. */
  readonly advice: readonly number[];
  /** Other letters of its `VmFlags`. */
  readonly flags: ReadonlySet<string>;
}

/** Letters of `VmFlags` that no call says but that a mapping is made with, or has for ever. */
export const VM = {
  MAYWRITE: 'mw',
  GROWSDOWN: 'gd',
  LOCKED: 'lo',
  LOCKONFAULT: 'lf',
  NORESERVE: 'nr',
  DROPPABLE: 'dp',
  SEALED: 'sl',
} as const;

/** Letters of mappings that cannot be made anew, with their names. */
const REFUSED = new Map([
  ['ht', 'huge pages that were set aside (hugetlbfs)'],
  ['um', 'memory registered with userfaultfd'],
  ['uw', 'memory registered with userfaultfd'],
  ['ui', 'memory registered with userfaultfd'],
  // Linux 6.12 has none.
  ['gu', 'guard regions (MADV_GUARD_INSTALL)'],
  ['io', 'a mapping of a device'],
  ['pf', 'a mapping of a device'],
]);

/** Letters of `VmFlags` in `/proc/PID/smaps` (Documentation/filesystems/proc.rst) that madvise(2) sets. */
const ADVICE = new Map<string, number>([
  ['sr', MADV.SEQUENTIAL],
  ['rr', MADV.RANDOM],
  ['dc', MADV.DONTFORK],
  ['dd', MADV.DONTDUMP],
  ['hg', MADV.HUGEPAGE],
  ['nh', MADV.NOHUGEPAGE],
  ['mg', MADV.MERGEABLE],
  ['wf', MADV.WIPEONFORK],
]);
/** Pages are locked when they are there. */
const MLOCK_ONFAULT = 1;

/**
 * The mappings of a process, and what the kernel says of them. The kernel walks all of its page tables for that: to be
 * asked while the process runs.
 */
export async function readAdvice(hands: Hands, hostPid: number): Promise<Advice[]> {
  const bytes = await readFile(hands, `/proc/${hostPid}/smaps`);
  return parseSmaps(new TextDecoder().decode(bytes ?? new Uint8Array(0)));
}

export function parseSmaps(text: string): Advice[] {
  const out: Advice[] = [];
  let range: Range | undefined;
  for (const line of text.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) .{4} .*?( \[v\w+\])?$/.exec(line);
    // The kernel's own mappings ([vdso], [vvar]) are nobody's to advise about.
    if (head !== null) {
      range = head[3] === undefined ? { start: parseInt(head[1], 16), end: parseInt(head[2], 16) } : undefined;
      continue;
    }
    if (range === undefined || !line.startsWith('VmFlags:')) continue;
    const flags = line.slice('VmFlags:'.length).trim().split(' ');
    const advice = flags.flatMap((flag) => ADVICE.get(flag) ?? []);
    out.push({ ...range, advice, flags: new Set(flags) });
  }
  return out;
}

/** Advice that changes what a program sees; the rest only makes it faster or slower. */
const BINDING: readonly number[] = [MADV.DONTFORK, MADV.WIPEONFORK];

/** Mappings in one batch; about each there is little to say. */
const ADVISED_AT_ONCE = 60;

/** Refuses mappings that cannot be made anew. Throws `unsupported`. */
export function refuseFlags(all: readonly Advice[], where: string): void {
  for (const { flags } of all)
    for (const flag of flags) {
      const name = REFUSED.get(flag);
      if (name !== undefined) throw unsupported(name, where);
    }
}

/** What is known of mappings, to be found by one that may have grown at one end since. */
export class KnownMappings {
  readonly #starts: ReadonlyMap<number, Advice>;
  readonly #ends: ReadonlyMap<number, Advice>;

  constructor(all: readonly Advice[]) {
    this.#starts = new Map(all.map((a) => [a.start, a]));
    this.#ends = new Map(all.map((a) => [a.end, a]));
  }

  of({ start, end }: Range): Advice | undefined {
    return this.#starts.get(start) ?? this.#ends.get(end);
  }
}

/** A mapping with what is known of how it was made. */
export function asMade<T extends TargetVma>(known: KnownMappings, v: T): T {
  const flags = v.backing.kind === 'anonymous' ? known.of(v)?.flags : undefined;
  if (flags === undefined) return v;
  const made = {
    growsDown: flags.has(VM.GROWSDOWN),
    noReserve: flags.has(VM.NORESERVE),
    droppable: flags.has(VM.DROPPABLE),
  };
  return { ...v, made };
}

/** Has a process with a runner say the same of those of its mappings that are still the ones it was said of. */
export async function advise(tracee: Tracee, known: KnownMappings, mappings: readonly Range[]): Promise<void> {
  const said = mappings.flatMap(({ start, end }) => {
    const of = known.of({ start, end });
    return of === undefined || (of.advice.length === 0 && !of.flags.has(VM.LOCKED)) ? [] : [{ start, end, of }];
  });
  for (let first = 0; first < said.length; first += ADVISED_AT_ONCE) {
    const b = tracee.batch();
    const binding: Ref[] = [];
    for (const { start, end, of } of said.slice(first, first + ADVISED_AT_ONCE)) {
      for (const value of of.advice) {
        // The kernel itself has said this of memory that it may drop.
        if (of.flags.has(VM.DROPPABLE) && BINDING.includes(value)) continue;
        const told = b.call(SYS.madvise, start, end - start, value);
        if (BINDING.includes(value)) binding.push(told);
      }
      // A lock that fails for want of pages is there all the same.
      if (of.flags.has(VM.LOCKED))
        b.call(SYS.mlock2, start, end - start, of.flags.has(VM.LOCKONFAULT) ? MLOCK_ONFAULT : 0);
    }
    const r = await b.run();
    for (const ref of binding) check(r.value(ref), `advising about memory of process ${tracee.tid}`);
  }
}

/** Seals mappings that were sealed (mseal(2)): they can be changed no more. */
export async function seal(tracee: Tracee, known: KnownMappings, mappings: readonly Range[]): Promise<void> {
  const sealed = mappings.filter((m) => known.of(m)?.flags.has(VM.SEALED) === true);
  for (let first = 0; first < sealed.length; first += ADVISED_AT_ONCE) {
    const b = tracee.batch();
    const calls = sealed
      .slice(first, first + ADVISED_AT_ONCE)
      .map(({ start, end }) => b.call(SYS.mseal, start, end - start, 0));
    const r = await b.run();
    for (const call of calls) check(r.value(call), `sealing memory of process ${tracee.tid}`);
  }
}
