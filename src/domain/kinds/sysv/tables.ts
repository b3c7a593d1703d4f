import { unsupported } from '../../errors.js';
import { once } from '../../once.js';
import type { LookContext } from '../kind.js';
import { readInside } from './inside-files.js';

/** Who owns a segment, a set or a queue, and who may use it: `struct ipc64_perm`. */
export interface IpcEntry {
  readonly key: number;
  readonly id: number;
  /** Nine permission bits, and flags above them. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly cuid: number;
  readonly cgid: number;
  /** The columns of its line in `/proc/sysvipc`. */
  readonly columns: ReadonlyMap<string, number>;
}

/** What an IPC namespace has. */
export interface IpcTables {
  readonly segments: readonly IpcEntry[];
  readonly semaphores: readonly IpcEntry[];
  readonly queues: readonly IpcEntry[];
}

export const FILES = ['shm', 'sem', 'msg'].map((name) => `/proc/sysvipc/${name}`);

/** What the domain's IPC namespace has. */
export const ipcOf = once(async ({ hands, anchor }: LookContext): Promise<IpcTables> => {
  const [shm, sem, msg] = await readInside(hands, anchor.pid, FILES);
  return { segments: parseTable(shm), semaphores: parseTable(sem), queues: parseTable(msg) };
});

/** Of a namespace, each of which costs a call while the domain stands still. */
const MOST_MESSAGES = 50_000;
const MOST_SEMAPHORES = 200_000;

const sum = (entries: readonly IpcEntry[], column: string): number =>
  entries.reduce((n, e) => n + (e.columns.get(column) ?? 0), 0);

/** Refuses more than can be looked at. Throws `unsupported`. */
export function refuseMany({ semaphores, queues }: IpcTables): void {
  const where = 'the IPC namespace';
  if (sum(queues, 'qnum') > MOST_MESSAGES) throw unsupported('very many messages in queues', where);
  if (sum(semaphores, 'nsems') > MOST_SEMAPHORES) throw unsupported('very many semaphores', where);
}

/** A table of `/proc/sysvipc` (proc_sysvipc(5)): a line of column names, then a line for each. */
export function parseTable(text: string): IpcEntry[] {
  const [head = '', ...lines] = text.split('\n');
  const names = head.trim().split(/\s+/);
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const words = line.trim().split(/\s+/);
      const columns = new Map(names.map((name, i) => [name, Number(words[i])]));
      const column = (name: string): number => columns.get(name) ?? 0;
      return {
        key: column('key'),
        id: column(names[1] ?? ''),
        mode: parseInt(words[names.indexOf('perms')] ?? '0', 8),
        uid: column('uid'),
        gid: column('gid'),
        cuid: column('cuid'),
        cgid: column('cgid'),
        columns,
      };
    });
}
