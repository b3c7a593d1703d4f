import type { Ref } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { IPC_STAT, MREMAP, PROT } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { isWritable, type TargetVma } from '../memory/layout.js';
import type { Range } from '../memory/ranges.js';
import { findHole } from '../proc/maps.js';
import { AREA_SIZE } from '../trace/runner.js';
import type { Tracee } from '../trace/tracee.js';

const SHM_RDONLY = 0o10000;
const SHM_EXEC = 0o100000;
/** `struct shmid64_ds`: its bytes, and where the segment's size is. */
const SHMID_DS = 112;
const SEGSZ_AT = 48;
const PAGE = 4096;
/** From here on a place is looked for where nothing is, before it is needed. */
const MEANWHILE = 0x9_0000_0000;
/** Attachments in one batch. */
const AT_ONCE = 80;

/** A part of a System V segment that a process shall have attached. */
export interface Attachment extends Range {
  readonly segment: number;
  readonly vma: TargetVma;
}

/**
 * Has a process attach segments (shmat(2)). The kernel attaches whole ones only: of which the program has kept a part,
 * that is attached elsewhere, and the part moved to its place. `busy`: all that the process has or will have mapped.
 */
export async function attachSegments(
  tracee: Tracee,
  all: readonly Attachment[],
  busy: readonly Range[],
): Promise<void> {
  for (let first = 0; first < all.length; first += AT_ONCE) {
    const some = all.slice(first, first + AT_ONCE);
    const b = tracee.batch();
    const stats = some.map(({ segment }) => {
      const stat = b.out(SHMID_DS);
      return { stat, asked: b.call(SYS.shmctl, segment, IPC_STAT, stat) };
    });
    const r = await b.run();
    const c = tracee.batch();
    const calls = some.flatMap(({ start, end, vma, segment }, i) => {
      check(r.value(stats[i].asked), `looking at shared memory segment ${segment}`);
      const size = Number(r.view(stats[i].stat).getBigUint64(SEGSZ_AT, true));
      const whole = Math.ceil(size / PAGE) * PAGE;
      const flags = (isWritable(vma) ? 0 : SHM_RDONLY) | ((vma.prot & PROT.EXEC) !== 0 ? SHM_EXEC : 0);
      const offset = vma.offset + (start - vma.start);
      const length = end - start;
      // As it was, and not as it is attached.
      const protect = (): Ref => c.call(SYS.mprotect, start, length, vma.prot);
      if (offset === 0 && length === whole) return [c.call(SYS.shmat, segment, start, flags), protect()];
      const at = findHole([...busy, { start: tracee.area, end: tracee.area + AREA_SIZE }], whole, MEANWHILE);
      if (at < 0) throw new DomainError('unsupported', 'no room', { resource: 'the whole address space' });
      const out = [
        c.call(SYS.shmat, segment, at, flags),
        c.call(SYS.mremap, at + offset, length, length, MREMAP.MAYMOVE | MREMAP.FIXED, start),
      ];
      if (offset > 0) c.call(SYS.munmap, at, offset);
      if (offset + length < whole) c.call(SYS.munmap, at + offset + length, whole - offset - length);
      return [...out, protect()];
    });
    const cr = await c.run();
    for (const ref of calls) check(cr.value(ref), 'placing a shared memory segment');
  }
}
