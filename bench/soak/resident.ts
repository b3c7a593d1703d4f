/** Resident memory of a process that has a machine in it, told apart. */
import { readFileSync } from 'node:fs';
import { BenchError } from '../errors.js';

/** Bytes. */
export interface Resident {
  /** Of the machine's memory: its guest, and the harts' blocks with what is predecoded. */
  readonly machine: number;
  /** Of all else: heaps, compiled code, the host's own program. */
  readonly host: number;
}

/** Resident memory of process `pid`, whose machine has `machineBytes` bytes of memory. Throws BenchError `missing`. */
export function residentMemory(pid: number, machineBytes: number): Resident {
  return splitResident(readFileSync(`/proc/${pid}/smaps`, 'latin1'), machineBytes);
}

/**
 * Splits what /proc/PID/smaps says. The machine's memory is the mapping that can be written and has just
 * its length. Throws BenchError `missing` where none has, or several.
 */
export function splitResident(smaps: string, machineBytes: number): Resident {
  let all = 0;
  let machine = 0;
  let found = 0;
  let isMachine = false;
  for (const line of smaps.split('\n')) {
    const mapping = /^([0-9a-f]+)-([0-9a-f]+) (..)/.exec(line);
    if (mapping !== null) {
      const [, start, end, access] = mapping;
      isMachine = access === 'rw' && parseInt(end, 16) - parseInt(start, 16) === machineBytes;
      if (isMachine) found++;
    }
    const bytes = Number(/^Rss: +(\d+) kB/.exec(line)?.[1] ?? 0) * 1024;
    all += bytes;
    if (isMachine) machine += bytes;
  }
  if (found !== 1)
    throw new BenchError(
      'missing',
      `of ${found} mappings of ${machineBytes} bytes none is known to be the machine's memory`,
    );
  return { machine, host: all - machine };
}
