import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { AT_FDCWD, IPC_RMID, IPC_SET, O } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { isSegment, segmentKey } from '../../memory/layout.js';
import { addObject } from '../../memory/objects.js';
import type { ProcessView } from '../../proc/survey.js';
import { together } from '../../together.js';
import type { CheckpointContext, RestoreContext } from '../kind.js';
import { eachInside, makeEach, ownership, PERM_BYTES } from './make.js';
import { ipcOf, type IpcEntry, type IpcTables } from './tables.js';

/** Flags of a segment's mode. */
const SHM_DEST = 0o1000;
const SHM_LOCKED = 0o2000;
const SHM_LOCK = 11;
/** What the original was promised without being accounted for shall not be refused here. */
const SHM_NORESERVE = 0o10000;
const LARGE = 256 * 2 ** 20;
const SHM_RDONLY = 0o10000;
/** Bytes of `struct shmid64_ds`. */
const SHMID_DS = PERM_BYTES + 64;
const AT_ONCE = 100;

/** A shared memory segment; its contents are a memory object. */
export interface Segment extends IpcEntry {
  readonly size: number;
}

const attached = (views: readonly ProcessView[]): Set<number> =>
  new Set(views.flatMap((v) => v.vmas.filter(isSegment).map((vma) => vma.ino)));

/** Throws `unsupported` for what the look at a segment would destroy. */
export function refuseSegments({ segments }: IpcTables, forced: boolean, views: readonly ProcessView[]): void {
  const used = attached(views);
  for (const { id } of segments)
    if (forced && !used.has(id))
      throw unsupported('an unattached segment under kernel.shm_rmid_forced', `shared memory segment ${id}`);
}

export async function checkpointSegments(context: CheckpointContext): Promise<Segment[]> {
  const { hands, anchor, views, objects } = context;
  const { segments } = await ipcOf(context);
  const used = attached(views);
  // What a process has attached is found by its mappings. The hands attach the others, for as long as it takes to open them.
  const alone = segments.filter((s) => !used.has(s.id));
  const places = await eachInside(hands, anchor.pid, alone, AT_ONCE, (b, { id }) => {
    const at = b.call(SYS.shmat, id, 0, SHM_RDONLY);
    return (r) => r.value(at);
  });
  const sizeOf = (s: IpcEntry): number => s.columns.get('size') ?? 0;
  await together(
    alone.map(async (s, i) => {
      const fd = await openAt(hands, s.id, places[i], sizeOf(s), O.RDONLY);
      await addObject(hands, fd, '', objects, segmentKey(s.id));
    }),
  );
  return segments.map((s) => ({ ...s, columns: new Map(), size: sizeOf(s) }));
}

/** Opens a segment that the hands have attached at an address (negative: they could not), and lets it go. */
async function openAt(hands: Hands, id: number, at: number, size: number, how: number): Promise<number> {
  check(at, `attaching shared memory segment ${id}`);
  const b = hands.batch();
  const end = at + Math.ceil(size / 4096) * 4096;
  const path = `/proc/self/map_files/${at.toString(16)}-${end.toString(16)}`;
  const fd = b.call(SYS.openat, AT_FDCWD, b.str(path), how | O.CLOEXEC, 0);
  b.call(SYS.shmdt, at);
  return check((await b.run()).value(fd), 'opening a shared memory segment');
}

export async function restoreSegments(context: RestoreContext, segments: readonly Segment[]): Promise<void> {
  const { hands, anchor, objectFds } = context;
  await makeEach(hands, anchor.pid, 'shm_next_id', segments, (b, s, flags) =>
    b.call(SYS.shmget, s.key, s.size, flags | (s.size > LARGE ? SHM_NORESERVE : 0)),
  );
  const places = await eachInside(hands, anchor.pid, segments, AT_ONCE, (b, s) => {
    const at = b.call(SYS.shmat, s.id, 0, 0);
    const owned = b.call(SYS.shmctl, s.id, IPC_SET, b.bytes(new Uint8Array(ownership(s, SHMID_DS).buffer)));
    return (r) => ({ at: r.value(at), owned: r.value(owned) });
  });
  // All that are attached are let go, whatever failed.
  await together(
    segments.map(async (s, i) => {
      const { at, owned } = places[i];
      objectFds.set(segmentKey(s.id), await openAt(hands, s.id, at, s.size, O.RDWR));
      check(owned, `giving shared memory segment ${s.id} its owner`);
    }),
  );
}

/** When all are attached that shall be: those marked for destruction go when the last lets them go. */
export async function finishSegments({ hands, anchor }: RestoreContext, segments: readonly Segment[]): Promise<void> {
  const flagged = segments.filter((s) => (s.mode & (SHM_DEST | SHM_LOCKED)) !== 0);
  await eachInside(hands, anchor.pid, flagged, AT_ONCE, (b, { id, mode }) => {
    const calls = [
      ...((mode & SHM_LOCKED) === 0 ? [] : [b.call(SYS.shmctl, id, SHM_LOCK, 0)]),
      ...((mode & SHM_DEST) === 0 ? [] : [b.call(SYS.shmctl, id, IPC_RMID, 0)]),
    ];
    return (r) => {
      for (const call of calls) check(r.value(call), `marking shared memory segment ${id}`);
    };
  });
}
