import type { Batch } from '../../../guest/hands/batch.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { MAP, PROT } from '../../linux/flags.js';
import { check, readText } from '../../linux/os.js';
import { normalize, subtract, type Range } from '../../memory/ranges.js';
import { parseMaps } from '../../proc/maps.js';
import type { Tracee } from '../../trace/tracee.js';

/** The lowest address that may be mapped. */
const LOWEST = 0x1000;
/** Gaps that are filled and emptied in one list of calls. */
const AT_ONCE = 1000;

/** A part of a ring, with a descriptor of the process for it. */
export interface Placed extends Range {
  readonly fd: number;
  readonly prot: number;
  readonly offset: number;
}

/**
 * Maps parts of rings where they shall lie. The kernel lets nobody choose a place for them, and takes the first where there is
 * room: for a moment there is none elsewhere.
 */
export async function placeParts(tracee: Tracee, parts: readonly Placed[]): Promise<void> {
  const maps = parseMaps((await readText(tracee.hands, `/proc/${tracee.tid}/maps`)) ?? '');
  const end = Math.max(...parts.map((p) => p.end), ...maps.map((v) => v.end));
  const least = Math.min(...parts.map((p) => p.end - p.start));
  const gaps = subtract([{ start: LOWEST, end }], normalize([...maps, ...parts])).filter(
    (g) => g.end - g.start >= least,
  );

  const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE | MAP.FIXED_NOREPLACE;
  const fill = (b: Batch, r: Range): void => void b.call(SYS.mmap, r.start, r.end - r.start, PROT.NONE, flags, -1, 0);
  const empty = (b: Batch, r: Range): void => void b.call(SYS.munmap, r.start, r.end - r.start);
  // In one go with what is mapped, if they fit: others may map something meanwhile.
  const most = gaps.slice(AT_ONCE);
  await inBatches(tracee, most, fill);
  const b = tracee.batch();
  for (const r of [...gaps.slice(0, AT_ONCE), ...parts]) fill(b, r);
  const refs = parts.map((p) => {
    empty(b, p);
    return b.call(SYS.mmap, 0, p.end - p.start, p.prot, MAP.SHARED | MAP.POPULATE, p.fd, p.offset);
  });
  for (const r of gaps.slice(0, AT_ONCE)) empty(b, r);
  const r = await b.run();
  await inBatches(tracee, most, empty);
  refs.forEach((ref, i) => {
    if (check(r.value(ref), 'mapping a ring of io_uring') !== parts[i]?.start)
      throw new DomainError('guest', 'a ring of io_uring is mapped elsewhere');
  });
}

async function inBatches(tracee: Tracee, gaps: readonly Range[], add: (b: Batch, r: Range) => void): Promise<void> {
  for (let start = 0; start < gaps.length; start += AT_ONCE) {
    const b = tracee.batch();
    for (const r of gaps.slice(start, start + AT_ONCE)) add(b, r);
    await b.run();
  }
}
