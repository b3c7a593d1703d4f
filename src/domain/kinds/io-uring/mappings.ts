import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import type { FrozenThread } from '../../freeze/frozen-thread.js';
import { check } from '../../linux/os.js';
import { isIoUring } from '../../memory/layout.js';
import type { ProcessView } from '../../proc/survey.js';
import { together } from '../../together.js';
import type { Tracee } from '../../trace/tracee.js';
import { processKind, type RebornProcess } from '../kind.js';
import { placeParts } from './place.js';
import { ringsOf } from './prepared.js';
import { ENTER, IORING_OFF, isRingLink, isTold, ringInfo, sqesBytes } from './ring.js';

/** Rings that a thread may register (IO_RINGFD_REG_MAX). */
const MOST_REGISTERED = 16;
const IORING_REGISTER_RING_FDS = 20;
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

/** A ring that a thread has a number of its own for. */
interface Registered {
  readonly tid: number;
  readonly index: number;
  /** Of the process. */
  readonly fd: number;
}

interface UsedRings {
  readonly mappings: readonly Mapping[];
  readonly registered: readonly Registered[];
}

/** Where rings of io_uring are mapped, and what threads call them. */
export const ringMappings = processKind<UsedRings>({
  name: 'mappings of io_uring',
  keeps: 'where rings lie in memory; the one ring of a process that threads have registered with themselves',
  refuses:
    'a part of such a mapping; mapped rings of provided buffers; one of several rings that a thread has registered with itself',
  stage: 'early',
  describe(view) {
    for (const v of view.vmas.filter(isIoUring)) {
      const where = `a mapping of process ${view.pid}`;
      if (!v.shared) throw unsupported('a private mapping of io_uring', where);
      if (!OFFSETS.includes(v.offset)) throw unsupported('a part of a mapping of io_uring, or buffers for it', where);
      const ring = view.descriptors.find((d) => isRingLink(d.link) && d.info.ino === v.ino);
      // One that is in use at this moment is looked at when it stands still.
      if (ring === undefined || v.offset !== IORING_OFF.SQES || !isTold(ring.info)) continue;
      if (v.end - v.start < sqesBytes({ ...ringInfo(ring.info), wideSqes: false }))
        throw unsupported('a part of a mapping of io_uring, or buffers for it', where);
    }
  },
  async checkpoint({ context, view, frozen }) {
    if (!usesRings(view)) return { mappings: [], registered: [] };
    const registered = await together(
      frozen.threads.map((t) => registeredBy(t, context.threadIds.get(t.tracee.tid) ?? -1, view)),
    );
    const ownOf = (ino: number): number | undefined =>
      view.descriptors.find((d) => isRingLink(d.link) && d.info.ino === ino)?.fd;
    const mappings = view.vmas.filter(isIoUring).map(({ start, end, prot, offset, ino }): Mapping => {
      const fd = ownOf(ino);
      return { start, length: end - start, prot, offset, ino, ...(fd !== undefined && { fd }) };
    });
    return { mappings, registered: registered.flat() };
  },
  async restore(process, { mappings, registered }) {
    const fds = new Map<number, number>();
    for (const { ino, fd } of mappings) if (!fds.has(ino)) fds.set(ino, fd ?? (await fetchRing(process, ino)));
    const parts = mappings.map((m) => ({ ...m, end: m.start + m.length, fd: fds.get(m.ino) ?? -1 }));
    if (parts.length > 0) await placeParts(process.leader, parts);
    await together(
      registered.map(({ tid, index, fd }) => {
        const thread = process.threads.get(tid);
        if (thread === undefined) throw new DomainError('state', `thread ${tid} was not made`);
        return register(thread, index, fd);
      }),
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

/** Rings that threads call by numbers that each has for itself (IORING_REGISTER_RING_FDS). Throws `unsupported`. */
async function registeredBy(thread: FrozenThread, tid: number, view: ProcessView): Promise<Registered[]> {
  const b = thread.tracee.batch();
  const refs = Array.from({ length: MOST_REGISTERED }, (_, index) =>
    b.call(SYS.io_uring_enter, index, 0, 0, ENTER.REGISTERED_RING, 0, 8),
  );
  const r = await b.run();
  const indices = refs.flatMap((ref, index) => (r.value(ref) >= 0 ? [index] : []));
  if (indices.length === 0) return [];
  // Nobody tells which ring it is.
  const own = view.descriptors.filter((d) => isRingLink(d.link));
  const [only, other] = new Set(own.map((d) => d.info.ino));
  if (only === undefined || other !== undefined)
    throw unsupported(
      'one of several rings of io_uring that a thread has registered with itself',
      `process ${view.pid}`,
    );
  return indices.map((index) => ({ tid, index, fd: own[0]?.fd ?? -1 }));
}

/** `struct io_uring_rsrc_update`: offset u32, reserved u32, data u64. */
async function register(tracee: Tracee, index: number, fd: number): Promise<void> {
  const update = new Uint8Array(16);
  const view = new DataView(update.buffer);
  view.setUint32(0, index, true);
  view.setBigUint64(8, BigInt(fd), true);
  const b = tracee.batch();
  const done = b.call(SYS.io_uring_register, fd, IORING_REGISTER_RING_FDS, b.bytes(update), 1);
  check((await b.run()).value(done), 'registering a ring of io_uring with a thread');
}
