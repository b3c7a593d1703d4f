import { SYS } from '../../../guest/hands/syscalls.js';
import { IPC_SET } from '../../linux/flags.js';
import { check } from '../../linux/os.js';
import { once } from '../../once.js';
import type { CheckpointContext, RestoreContext } from '../kind.js';
import type { Semaphore } from './adjustments.js';
import { eachInside, makeEach, ownership, PERM_BYTES } from './make.js';
import { operations } from './operations.js';
import { ipcOf, type IpcEntry } from './tables.js';

/** Commands of semctl(2). */
const GETPID = 11;
const GETALL = 13;
const SETALL = 17;
/** Bytes of `struct semid64_ds`. */
const SEMID_DS = PERM_BYTES + 40;
const AT_ONCE = 4;
const CALLS = 400;

/** A set of semaphores. */
export interface SemaphoreSet extends IpcEntry {
  /** u16 each. */
  readonly values: Uint8Array;
  /** Whether anybody has operated on it: programs take a set for ready only then. */
  readonly used: boolean;
}

/** A semaphore, and who operated on it last, by the id in the hands' PID namespace. */
interface LastUse extends Semaphore {
  readonly hostPid: number;
}

const sizeOf = (s: IpcEntry): number => s.columns.get('nsems') ?? 0;

/** Values of all semaphores, u16 each, by the id of their set. */
const semaphoreValues = once(async (context: CheckpointContext): Promise<Map<number, Uint8Array>> => {
  const { hands, anchor } = context;
  const { semaphores } = await ipcOf(context);
  const values = await eachInside(hands, anchor.pid, semaphores, AT_ONCE, (b, s) => {
    const buf = b.out(2 * sizeOf(s));
    const n = b.call(SYS.semctl, s.id, 0, GETALL, buf);
    return (r) => {
      check(r.value(n), `reading semaphores ${s.id}`);
      return r.bytes(buf);
    };
  });
  return new Map(semaphores.map((s, i) => [s.id, values[i]]));
});

/** Every semaphore of every set. */
export async function semaphoresOf(context: CheckpointContext): Promise<Semaphore[]> {
  return [...(await semaphoreValues(context))].flatMap(([id, bytes]) =>
    Array.from(new Uint16Array(bytes.slice().buffer), (value, index) => ({ id, index, value })),
  );
}

export async function checkpointSemaphores(context: CheckpointContext): Promise<SemaphoreSet[]> {
  const [{ semaphores }, values] = [await ipcOf(context), await semaphoreValues(context)];
  return semaphores.map((s) => ({
    ...s,
    columns: new Map(),
    values: values.get(s.id) ?? new Uint8Array(0),
    used: (s.columns.get('otime') ?? 0) !== 0,
  }));
}

/** Who operated last on each semaphore. */
export const lastUsesOf = once(async (context: CheckpointContext): Promise<LastUse[]> => {
  const each = await semaphoresOf(context);
  const pids = await eachInside(context.hands, context.anchor.pid, each, CALLS, (b, { id, index }) => {
    const n = b.call(SYS.semctl, id, index, GETPID, 0);
    return (r) => check(r.value(n), `looking at semaphores ${id}`);
  });
  return each.map((s, i) => ({ ...s, hostPid: pids[i] }));
});

export async function restoreSemaphores(
  { hands, anchor }: RestoreContext,
  sets: readonly SemaphoreSet[],
): Promise<void> {
  await makeEach(hands, anchor.pid, 'sem_next_id', sets, (b, s, flags) =>
    b.call(SYS.semget, s.key, s.values.length / 2, flags),
  );
  await eachInside(hands, anchor.pid, sets, AT_ONCE, (b, s) => {
    const first = new DataView(s.values.buffer, s.values.byteOffset).getUint16(0, true);
    const nothing = first === 0 ? [1, -1] : [-1, 1];
    const calls = [
      b.call(SYS.semctl, s.id, 0, SETALL, b.bytes(s.values)),
      ...(s.used
        ? [
            operations(
              b,
              s.id,
              nothing.map((op) => ({ index: 0, op, flags: 0 })),
            ),
          ]
        : []),
      b.call(SYS.semctl, s.id, 0, IPC_SET, b.bytes(new Uint8Array(ownership(s, SEMID_DS).buffer))),
    ];
    return (r) => {
      for (const call of calls) check(r.value(call), `setting semaphores ${s.id}`);
    };
  });
}
