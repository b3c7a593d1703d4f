import type { Batch, BatchResult, Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { AT_FDCWD, CLONE, IPC_CREAT, IPC_EXCL, O } from '../../linux/flags.js';
import { inside } from '../../linux/inside.js';
import { check } from '../../linux/os.js';
import type { IpcEntry } from './tables.js';

/** The nine permission bits of a mode. */
export const PERMISSIONS = 0o777;
/** Calls for one: to be somebody else, to ask for an id, to make it, to be root again. */
const MADE_AT_ONCE = 50;

/**
 * Makes segments, sets or queues with the ids that they had, in the IPC namespace of `pid`, by whom they were made by.
 * `nextId`: the setting that forces an id. `make` adds the call that makes one, with these flags.
 */
export async function makeEach<E extends IpcEntry>(
  hands: Hands,
  pid: number,
  nextId: string,
  entries: readonly E[],
  make: (b: Batch, entry: E, flags: number) => Ref,
): Promise<void> {
  for (let first = 0; first < entries.length; first += MADE_AT_ONCE) {
    await inside(hands, pid, CLONE.NEWIPC, (b) => {
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/sys/kernel/${nextId}`), O.WRONLY | O.CLOEXEC, 0);
      const made = entries.slice(first, first + MADE_AT_ONCE).map((entry) => {
        const text = String(entry.id);
        b.call(SYS.pwrite64, fd, b.str(text), text.length, 0);
        const flags = IPC_CREAT | IPC_EXCL | (entry.mode & PERMISSIONS);
        return { entry, id: as(b, entry, () => make(b, entry, flags)) };
      });
      b.call(SYS.close, fd);
      return (r) => {
        for (const { entry, id } of made) {
          const got = check(r.value(id), `making the ${nextId.slice(0, 3)} with id ${entry.id}`);
          if (got !== entry.id) throw new DomainError('guest', `id ${entry.id} was wanted, and ${got} was given`);
        }
      };
    });
  }
}

/** Adds a call in the name of whoever made a thing: nobody can say later that it was somebody else. */
function as(b: Batch, { cuid, cgid }: IpcEntry, call: () => Ref): Ref {
  if (cuid === 0 && cgid === 0) return call();
  b.call(SYS.setresgid, -1, cgid, -1);
  b.call(SYS.setresuid, -1, cuid, -1);
  const made = call();
  b.call(SYS.setresuid, -1, 0, -1);
  b.call(SYS.setresgid, -1, 0, -1);
  return made;
}

/** As {@link inside}, for as many as there are, in batches of few enough. Answers for each, in order. */
export async function eachInside<A, T>(
  hands: Hands,
  pid: number,
  many: readonly A[],
  atOnce: number,
  ask: (b: Batch, one: A) => (r: BatchResult) => T,
): Promise<T[]> {
  const out: T[] = [];
  for (let first = 0; first < many.length; first += atOnce) {
    const answers = await inside(hands, pid, CLONE.NEWIPC, (b) => {
      const asked = many.slice(first, first + atOnce).map((one) => ask(b, one));
      return (r) => asked.map((answer) => answer(r));
    });
    for (const answer of answers) out.push(answer);
  }
  return out;
}

/** Bytes of `struct ipc64_perm`, with which the structure of each sort begins. */
export const PERM_BYTES = 48;

/** A structure of `size` bytes for IPC_SET: owner and permissions. */
export function ownership(entry: IpcEntry, size: number): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(size));
  view.setUint32(4, entry.uid, true);
  view.setUint32(8, entry.gid, true);
  view.setUint32(20, entry.mode & PERMISSIONS, true);
  return view;
}
