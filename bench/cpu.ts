/** What processes have used, as Linux counts it. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * CPU time of a process and of all it has started, in nanoseconds.
 *
 * Each thread's own counter (the first number of /proc/PID/task/TID/schedstat) is exact to the
 * nanosecond, where /proc/PID/stat counts hundredths of a second. A thread that has ended is counted
 * with what was last seen of it.
 */
export class CpuMeter {
  readonly #threads = new Map<string, number>();

  constructor(private readonly pid: number) {}

  /** Nanoseconds since the process began. */
  read(): number {
    for (const pid of family(this.pid)) {
      for (const tid of list(`/proc/${pid}/task`)) {
        const text = read(`/proc/${pid}/task/${tid}/schedstat`);
        if (text !== undefined) this.#threads.set(tid, Number(text.split(' ')[0]));
      }
    }
    let sum = 0;
    for (const time of this.#threads.values()) sum += time;
    return sum;
  }
}

/** Resident memory of a process and of all it has started, in bytes. */
export function residentBytes(pid: number): number {
  let pages = 0;
  for (const one of family(pid)) pages += Number(read(`/proc/${one}/statm`)?.split(' ')[1] ?? 0);
  return pages * 4096;
}

/** The process and its descendants. */
function family(pid: number): number[] {
  const all = [pid];
  for (let i = 0; i < all.length; i++) {
    for (const tid of list(`/proc/${all[i]}/task`)) {
      const children = read(`/proc/${all[i]}/task/${tid}/children`) ?? '';
      all.push(
        ...children
          .split(' ')
          .filter((c) => c.trim() !== '')
          .map(Number),
      );
    }
  }
  return all;
}

/** A process may be gone at any moment. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
