/** Moves that fail in their middle, and what must be true then. */
import assert from 'node:assert/strict';
import type { RunningDomain } from '../../src/domain/tree/launch.js';
import { readDir, readText } from '../../src/domain/linux/os.js';
import { SYS } from '../../src/guest/hands/syscalls.js';
import type { Step } from '../../src/remapping/migrate.js';
import { nextLine, type Stage } from './stage.js';

export const turnOf = (line: string): number => {
  const m = /^turn (\d+) /.exec(line);
  assert.ok(m, `the domain says: ${line}`);
  return Number(m[1]);
};

/** What the hands of both sides have beside what belongs to the domain, which is its network namespace: how many descriptors, which mappings. */
export async function belongings(stage: Stage, domain: RunningDomain): Promise<string[]> {
  const out: string[] = [];
  for (const { hands, instance } of stage.sides) {
    const fds = (await readDir(hands, '/proc/self/fd')) ?? [];
    const maps = (await readText(hands, '/proc/self/maps')) ?? '';
    const own = domain.hands === hands ? 1 : 0;
    out.push(
      `${instance.name} has ${fds.length - own} descriptors`,
      ...maps.split('\n').map((line) => `${instance.name} maps ${line.split(' ')[0]}`),
    );
  }
  return out;
}

/** A call of the hands during a step of a move. */
export interface Spot {
  readonly side: 'source' | 'destination';
  readonly step: Step;
  readonly nr: number;
}

/** Calls that tell the hands nothing but the time, or put things away: what takes them back cannot do without. */
const NEEDED_TO_UNDO: readonly number[] = [SYS.close, SYS.munmap, SYS.wait4, SYS.getpid];

/** Moves the domain once, and answers it with all different calls that the hands made, in order. */
export async function spotsOf(stage: Stage, domain: RunningDomain): Promise<{ domain: RunningDomain; spots: Spot[] }> {
  const spots = new Map<string, Spot>();
  let step: Step = 'survey';
  const [source, destination] = stage.from(domain);
  for (const [side, { saboteur }] of [
    ['source', source],
    ['destination', destination],
  ] as const) {
    saboteur.refuses = (nr) => {
      if (!NEEDED_TO_UNDO.includes(nr)) spots.set(`${side} ${step} ${nr}`, { side, step, nr });
      return false;
    };
  }
  try {
    const moved = await stage.move(domain, (s) => {
      step = s;
    });
    return { domain: moved.domain, spots: [...spots.values()] };
  } finally {
    for (const { saboteur } of stage.sides) saboteur.relent();
  }
}

/** Tries to move the domain while one call is refused, once. Whether the move then fails is the move's to decide. */
export async function moveSpoilt(
  stage: Stage,
  domain: RunningDomain,
  spot: Spot,
): Promise<{ domain: RunningDomain; error: unknown; untidied: readonly unknown[] }> {
  let step: Step | undefined;
  let done = false;
  const [source, destination] = stage.from(domain);
  const { saboteur } = spot.side === 'source' ? source : destination;
  saboteur.refuses = (nr) => {
    if (done || step !== spot.step || nr !== spot.nr) return false;
    done = true;
    return true;
  };
  try {
    const moved = await stage.move(domain, (s) => {
      step = s;
    });
    return { domain: moved.domain, error: undefined, untidied: moved.report.untidied };
  } catch (error) {
    return { domain, error, untidied: [] };
  } finally {
    saboteur.relent();
  }
}

/** It goes on where its handle says, and nowhere else; returns its next line. */
export async function assertLives(stage: Stage, domain: RunningDomain, when: string): Promise<string> {
  const { name } = domain.spec;
  const output = `/tmp/${name}.out`;
  const line = await nextLine(domain.hands, output);
  const next = await nextLine(domain.hands, output, line);
  assert.ok(turnOf(next) > turnOf(line), `it counts on ${when}`);
  const [, { hands }] = stage.from(domain);
  assert.equal(await readText(hands, `/sys/fs/cgroup/${name}/cgroup.procs`), undefined, `it is nowhere else ${when}`);
  return next;
}
