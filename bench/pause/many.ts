// How long a domain with very many of one thing stands still, and how much longer than ones with half and a tenth of them.
import { openStage, shortestPause } from '../../test/domain/pause.js';

/** What a domain may have many of: a program of test/programs with its arguments, and how many. */
const THINGS = [
  { what: 'descriptors', program: 'many', args: ['eventfds'], count: 10_000 },
  { what: 'threads', program: 'many', args: ['threads'], count: 1000 },
  { what: 'processes', program: 'many', args: ['processes'], count: 1000 },
  { what: 'mappings', program: 'mappings', args: [], count: 30_000 },
] as const;

/** A row of the answer, in milliseconds. */
export interface Many {
  readonly what: string;
  readonly count: number;
  readonly pauseMs: number;
  /** With half and a tenth of them. */
  readonly halfMs: number;
  readonly tenthMs: number;
}

/** Moves a domain with many of each thing. */
export async function measureMany(): Promise<Many[]> {
  const stage = await openStage([1024, 1024]);
  try {
    const rows: Many[] = [];
    for (const { what, program, args, count } of THINGS) {
      const pause = (n: number): Promise<number> => shortestPause(stage, `${what}-${n}`, program, ...args, String(n));
      const tenthMs = Math.round(await pause(count / 10));
      const halfMs = Math.round(await pause(count / 2));
      const pauseMs = Math.round(await pause(count));
      rows.push({ what, count, pauseMs, halfMs, tenthMs });
      console.error(
        `${count} ${what}: stood still for ${pauseMs} ms, half of them for ${halfMs}, a tenth for ${tenthMs}`,
      );
    }
    return rows;
  } finally {
    await stage.close();
  }
}
