import type { Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { MADV } from '../linux/flags.js';
import { check, readFile } from '../linux/os.js';
import type { Tracee } from '../trace/tracee.js';
import type { Range } from './ranges.js';

/** What a program has told the kernel about a mapping, besides its protection. */
export interface Advice extends Range {
  /** MADV_* values. */
  readonly advice: readonly number[];
  readonly locked: boolean;
}

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
const LOCKED = 'lo';
/** Pages are locked when they are there: those that were are made there anyway. */
const MLOCK_ONFAULT = 1;

/**
 * The mappings of a process that it has advised about or locked. The kernel walks all of its page tables for that: to be
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
    const locked = flags.includes(LOCKED);
    if (advice.length > 0 || locked) out.push({ ...range, advice, locked });
  }
  return out;
}

/** Advice that changes what a program sees; the rest only makes it faster or slower. */
const BINDING: readonly number[] = [MADV.DONTFORK, MADV.WIPEONFORK];

/** Mappings in one batch; about each there is little to say. */
const ADVISED_AT_ONCE = 60;

/** Has a process with a runner say the same of those of its mappings that are still the ones it was said of. */
export async function advise(tracee: Tracee, all: readonly Advice[], mappings: readonly Range[]): Promise<void> {
  const now = new Set(mappings.map(({ start, end }) => `${start} ${end}`));
  const valid = all.filter(({ start, end }) => now.has(`${start} ${end}`));
  for (let first = 0; first < valid.length; first += ADVISED_AT_ONCE) {
    const b = tracee.batch();
    const binding: Ref[] = [];
    for (const { start, end, advice, locked } of valid.slice(first, first + ADVISED_AT_ONCE)) {
      for (const value of advice) {
        const said = b.call(SYS.madvise, start, end - start, value);
        if (BINDING.includes(value)) binding.push(said);
      }
      if (locked) binding.push(b.call(SYS.mlock2, start, end - start, MLOCK_ONFAULT));
    }
    const r = await b.run();
    for (const ref of binding) check(r.value(ref), `advising about memory of process ${tracee.tid}`);
  }
}
