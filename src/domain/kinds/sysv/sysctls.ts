import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { AT_FDCWD, CLONE, O } from '../../linux/flags.js';
import { inside, type Where } from '../../linux/inside.js';
import { check } from '../../linux/os.js';
import { readInside } from './inside-files.js';

/** A setting that each IPC namespace has for itself. */
interface Sysctl {
  readonly path: string;
  /** What a new namespace has (ipc/*.c, include/uapi/linux/{shm,sem,msg}.h, ipc_namespace.h). */
  readonly initial: string;
  /** Written only at the end: it forbids or does something. */
  readonly atEnd?: boolean;
}

const kernel = (name: string, initial: string, atEnd = false): Sysctl => ({
  path: `/proc/sys/kernel/${name}`,
  initial,
  atEnd,
});
const mqueue = (name: string, initial: string): Sysctl => ({ path: `/proc/sys/fs/mqueue/${name}`, initial });

/** Settings of an IPC namespace. */
const SYSCTLS: readonly Sysctl[] = [
  kernel('shmmax', '18446744073692774399'),
  kernel('shmall', '18446744073692774399'),
  kernel('shmmni', '4096'),
  kernel('sem', '32000 1024000000 500 32000'),
  kernel('msgmax', '8192'),
  kernel('msgmni', '32000'),
  kernel('msgmnb', '16384'),
  kernel('shm_rmid_forced', '0', true),
  kernel('shm_next_id', '-1', true),
  kernel('sem_next_id', '-1', true),
  kernel('msg_next_id', '-1', true),
  mqueue('queues_max', '256'),
  mqueue('msg_max', '10'),
  mqueue('msgsize_max', '8192'),
  mqueue('msg_default', '10'),
  mqueue('msgsize_default', '8192'),
];

/** Those of the settings that a new namespace does not have, by path. */
export async function changedSettings(hands: Hands, where: Where): Promise<[path: string, value: string][]> {
  const values = await readInside(
    hands,
    where,
    SYSCTLS.map((s) => s.path),
  );
  return SYSCTLS.flatMap(({ path, initial }, i) => {
    const value = (values[i] ?? '').trim().replace(/\s+/g, ' ');
    return value === '' || value === initial ? [] : [[path, value]];
  });
}

const atEnd = new Set(SYSCTLS.filter((s) => s.atEnd === true).map((s) => s.path));
/** Room enough for all that is to be made, however little the namespace allows afterwards. */
const AMPLE = new Map([
  ['/proc/sys/kernel/shmmax', '18446744073692774399'],
  ['/proc/sys/kernel/shmall', '18446744073692774399'],
  ['/proc/sys/kernel/shmmni', '32768'],
  ['/proc/sys/kernel/sem', '32000 1024000000 32000 32000'],
  ['/proc/sys/kernel/msgmax', '16777216'],
  ['/proc/sys/kernel/msgmni', '32000'],
]);

/** Before anything is made in the namespace of `pid`: none of the settings that will stand in the way does so yet. */
export function makeRoom(hands: Hands, pid: number, settings: readonly (readonly [string, string])[]): Promise<void> {
  return write(
    hands,
    pid,
    settings.flatMap(([path, value]) => (atEnd.has(path) ? [] : [[path, AMPLE.get(path) ?? value] as const])),
  );
}

/** When all is made: the settings as they were. */
export function settle(hands: Hands, where: Where, settings: readonly (readonly [string, string])[]): Promise<void> {
  return write(hands, where, settings);
}

async function write(hands: Hands, where: Where, settings: readonly (readonly [string, string])[]): Promise<void> {
  if (settings.length === 0) return;
  await inside(hands, where, CLONE.NEWIPC, (b) => {
    const writes = settings.map(([path, value]) => {
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(path), O.WRONLY | O.CLOEXEC, 0);
      const wrote = b.call(SYS.write, fd, b.str(value), value.length);
      b.call(SYS.close, fd);
      return { path, wrote };
    });
    return (r) => {
      for (const { path, wrote } of writes) check(r.value(wrote), `writing ${path}`);
    };
  });
}
