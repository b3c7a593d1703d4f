import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import { isIoUring } from '../../memory/layout.js';
import type { ProcessView } from '../../proc/survey.js';
import { together } from '../../together.js';
import type { Tracee } from '../../trace/tracee.js';
import { processKind, type RebornProcess } from '../kind.js';
import { placeParts } from './place.js';
import { ringsOf } from './prepared.js';
import { ENTER, IORING_OFF, isRingLink, ringInfo, sqesBytes } from './ring.js';

/** Rings that a thread may register (IO_RINGFD_REG_MAX). */
const MOST_REGISTERED = 16;
const OFFSETS: readonly number[] = Object.values(IORING_OFF);

interface Mapping {
  readonly start: number;
  readonly length: number;
  readonly prot: number;
  readonly offset: number;
  readonly ino: number;
  /** A descriptor of the process's own. */
  readonly fd?: number;
}

/** Where rings of io_uring are mapped. */
export const ringMappings = processKind<readonly Mapping[]>({
  name: 'mappings of io_uring',
  keeps: 'where rings lie in memory',
  refuses: 'a part of such a mapping; mapped rings of provided buffers; rings that a thread has registered with itself',
  stage: 'early',
  describe(view) {
    for (const v of view.vmas.filter(isIoUring)) {
      const where = `a mapping of process ${view.pid}`;
      if (!v.shared) throw unsupported('a private mapping of io_uring', where);
      if (!OFFSETS.includes(v.offset)) throw unsupported('a part of a mapping of io_uring, or buffers for it', where);
      const ring = view.descriptors.find((d) => isRingLink(d.link) && d.info.ino === v.ino);
      if (ring === undefined || v.offset !== IORING_OFF.SQES) continue;
      if (v.end - v.start < sqesBytes({ ...ringInfo(ring.info), wideSqes: false }))
        throw unsupported('a part of a mapping of io_uring, or buffers for it', where);
    }
  },
  async checkpoint({ view, frozen }) {
    if (!usesRings(view)) return [];
    await together(frozen.threads.map(({ tracee }) => refuseRegistered(tracee, view)));
    return view.vmas.filter(isIoUring).map(({ start, end, prot, offset, ino }): Mapping => {
      const own = view.descriptors.find((d) => isRingLink(d.link) && d.info.ino === ino);
      return { start, length: end - start, prot, offset, ino, ...(own !== undefined && { fd: own.fd }) };
    });
  },
  async restore(process, mappings) {
    if (mappings.length === 0) return;
    const fds = new Map<number, number>();
    for (const { ino, fd } of mappings) if (!fds.has(ino)) fds.set(ino, fd ?? (await fetchRing(process, ino)));
    await placeParts(
      process.leader,
      mappings.map((m) => ({ ...m, end: m.start + m.length, fd: fds.get(m.ino) ?? -1 })),
    );
  },
});

const usesRings = ({ vmas, descriptors }: ProcessView): boolean =>
  vmas.some(isIoUring) || descriptors.some((d) => isRingLink(d.link));

/** A process that has a ring mapped, and its descriptor closed. */
function fetchRing(process: RebornProcess, ino: number): Promise<number> {
  const fd = ringsOf(process.context).made.get(ino);
  if (fd === undefined) throw new DomainError('state', `ring ${ino} was not made`);
  return process.fetch(fd);
}

/** A ring that a thread calls by a number that only it knows (IORING_REGISTER_RING_FDS). Throws `unsupported`. */
async function refuseRegistered(tracee: Tracee, { pid }: ProcessView): Promise<void> {
  const b = tracee.batch();
  const refs = Array.from({ length: MOST_REGISTERED }, (_, index) =>
    b.call(SYS.io_uring_enter, index, 0, 0, ENTER.REGISTERED_RING, 0, 8),
  );
  const r = await b.run();
  if (refs.some((ref) => r.value(ref) >= 0))
    throw unsupported('a ring of io_uring that a thread has registered with itself', `process ${pid}`);
}
