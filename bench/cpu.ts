/** What processes have used, as Linux counts it. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * CPU time of a process with all its threads.
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
    for (const tid of list(`/proc/${this.pid}/task`)) {
      const text = read(`/proc/${this.pid}/task/${tid}/schedstat`);
      if (text !== undefined) this.#threads.set(tid, Number(text.split(' ')[0]));
    }
    let sum = 0;
    for (const time of this.#threads.values()) sum += time;
    return sum;
  }
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  return Number(read(`/proc/${pid}/statm`)?.split(' ')[1] ?? 0) * 4096;
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
