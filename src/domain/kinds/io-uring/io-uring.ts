import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupportedNow } from '../../errors.js';
import { F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import { fileKind, type LookContext, type OpenFile, type RestoreContext } from '../kind.js';
import { likelyShape, readContents, shapeOf, writeMemory, type Contents } from './contents.js';
import { advance, makeRing, unmapRing } from './make.js';
import { ringsOf, takeReady } from './prepared.js';
import { isCalm, refuseByCalls, refuseInfo, refuseSeveral, refuseUnderWay } from './refused.js';
import { ahead, isRingLink, isTold, ringBytes, ringInfo, sqesBytes, type RingInfo, type RingShape } from './ring.js';
import { toldOf } from './told.js';

/** Requests that are counted while a domain stands still: some tenth of a second. */
const MOST_IN_PAUSE = 200_000;

interface RingState {
  readonly ino: number;
  readonly shape: RingShape;
  readonly completed: number;
  readonly seen: number;
  readonly flags: number;
  readonly ring: Uint8Array;
  readonly sqes: Uint8Array;
}

/**
 * Rings of io_uring(7) without a request under way. What a program sees of one lies in memory that it has mapped: counts, requests, completions. The
 * kernel counts for itself how far it has come: a new ring is brought there by as many requests that do nothing.
 *
 * Limits of how many threads of the kernel work for a thread (IORING_REGISTER_IOWQ_MAX_WORKERS) are not kept: a thread has the
 * kernel's own again. They change how fast requests are done, not what comes of them.
 *
 * What nobody can ask about: whether a ring goes on after a request that cannot be begun (IORING_SETUP_SUBMIT_ALL), as all do
 * from then on; when completions are worked on (COOP_TASKRUN), which a program cannot tell but by its speed; and which of a
 * newer kernel's features a program relies on, as with any system call.
 */
export const ioUring = fileKind<RingState>({
  name: 'io_uring',
  keeps:
    'rings with no request under way: requests that were not submitted, completions that were not seen, counts, sizes, mappings; a wait for a completion goes on',
  refuses:
    'a request to io_uring that is under way (polls, timeouts, reads that wait); rings of io_uring with a thread of the kernel (SQPOLL), for one thread only (SINGLE_ISSUER, DEFER_TASKRUN), that poll devices (IOPOLL), in memory of the program’s own (NO_MMAP), that are not enabled yet, or with more than 67 million requests; registered files, buffers, eventfds, personalities and restrictions; provided buffers; requests with several completions; a ring that is in use whenever it is looked at',
  independent: true,
  matches: (view) => isRingLink(view.link),
  describe(view, process) {
    // If it is in use at this moment, it is asked again when it is held; so is what may be under way.
    if (isTold(view.info)) refuseInfo(ringInfo(view.info), `descriptor ${view.fd} of process ${process.pid}`);
  },
  async inspect(context, file) {
    await lookAt(context, file, false);
  },
  async checkpoint(context, file) {
    const { info: said } = file.view;
    const { info, contents, shape } = await lookAt(context, file, true);
    return {
      ino: said.ino,
      shape,
      completed: info.completed,
      seen: info.seen,
      flags: said.flags & ~O.CLOEXEC,
      ring: contents.ring.slice(0, ringBytes(shape)),
      sqes: contents.sqes.slice(0, sqesBytes(shape)),
    };
  },
  restore: (context, state) => restoreRing(context, state),
});

async function lookAt(
  { hands }: LookContext,
  file: OpenFile,
  stands: boolean,
): Promise<{ info: RingInfo; contents: Contents; shape: RingShape }> {
  const [user] = file.users;
  const where = user === undefined ? 'the domain' : `descriptor ${user.fd} of process ${user.pid}`;
  const info = await toldOf(hands, file.held, file.view.info, where, isCalm);
  refuseInfo(info, where);
  refuseUnderWay(info, where);
  const [, contents] = await together([
    refuseByCalls(hands, file.held, where),
    readContents(hands, file.held, info, where, stands),
  ]);
  const shape = stands ? shapeOf(info, contents) : likelyShape(info, contents);
  refuseSeveral(contents.ring, shape, where);
  return { info, contents, shape };
}

async function restoreRing(context: RestoreContext, state: RingState): Promise<number> {
  const { hands } = context;
  const { ino, shape, completed, seen, flags } = state;
  return making(hands, async (note) => {
    const ring = takeReady(context, ino, shape, seen) ?? (await makeRing(hands, shape));
    note(ring.fd);
    try {
      if (ahead(ring.done, completed) > MOST_IN_PAUSE)
        throw unsupportedNow('a ring of io_uring that was not foreseen', 'a process');
      await advance(hands, ring, completed, seen);
      if (state.ring.length !== ringBytes(shape) || state.sqes.length !== sqesBytes(shape))
        throw new DomainError('state', 'a ring of io_uring has another size');
      const [set] = await together([
        hands.syscall(SYS.fcntl, ring.fd, F.SETFL, flags),
        writeMemory(hands, ring.sqesAt, state.sqes),
        writeMemory(hands, ring.at, state.ring),
      ]);
      check(set, 'setting the flags of a ring of io_uring');
    } finally {
      await unmapRing(hands, ring);
    }
    ringsOf(context).made.set(ino, ring.fd);
    return ring.fd;
  });
}
