/** The measuring: boots, the correctness probe, rounds of programs, harts together. */
import { BenchError } from './errors.js';
import type { MachineCommand } from './console-process.js';
import { Machine, type RunResult } from './machine.js';
import { median } from './median.js';
import { PROBE } from './programs.js';

export const GUESTS = ['understudy', 'qemu', 'v86'] as const;
export type GuestName = (typeof GUESTS)[number];

export interface Plan {
  readonly rounds: number;
  readonly boots: number;
  /** CPU seconds a run is to take on a machine ten times slower than this one. */
  readonly seconds: number;
  /** Milliseconds for all programs together: where they are used up, there are fewer rounds. */
  readonly budget: number;
}

/** A run that takes longer than this (CPU nanoseconds) is not repeated more than once. */
const LONG = 4e9;

export type Log = (message: string) => void;

/** Figures of one machine for one program. */
export interface Figure {
  /** Median CPU nanoseconds per iteration. */
  readonly time: number;
  /** The first run's time over the median of the later ones. */
  readonly first: number;
}

export interface ProgramFigures {
  readonly name: string;
  readonly native: Figure | null;
  readonly guests: Readonly<Record<GuestName, Figure | null>>;
}

export class Lane {
  machine: Machine | undefined;
  constructor(
    readonly name: 'native' | GuestName,
    readonly command: MachineCommand,
  ) {}
}

/** CPU seconds from the start of the process until the runner answers; the median of some boots. */
export async function measureBoot(command: MachineCommand, boots: number, log: Log): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < boots; i++) {
    const machine = await Machine.start(command);
    times.push(machine.boot / 1e9);
    machine.kill();
    log(`${command.name}: boot ${times[i].toFixed(2)} s`);
  }
  return median(times);
}

/** Throws BenchError `disagree` when a machine computes something else than this one does. */
export async function checkProbe(native: Machine, machines: readonly Machine[]): Promise<void> {
  const { checksum } = await native.run(PROBE, 1);
  for (const machine of machines) {
    // Twice: what runs first may run in another way later.
    for (let i = 0; i < 2; i++) agree(PROBE, machine.name, await machine.run(PROBE, 1), checksum);
  }
}

function agree(program: string, machine: string, result: RunResult, expected: string): void {
  if (result.checksum === expected) return;
  throw new BenchError(
    'disagree',
    `${program}: ${machine} computes ${result.checksum}, it should be ${expected}: nothing is reported`,
  );
}

/** Iterations for a run, by what they take natively. */
async function calibrate(native: Machine, name: string, seconds: number): Promise<number> {
  await native.run(name, 1);
  const { cpu } = await native.run(name, 3);
  return Math.max(1, Math.round((seconds * 1e9) / 10 / (cpu / 3)));
}

/**
 * Runs a program in all machines, round by round, so that a disturbance meets them all.
 * No round but the first is begun after `until` (milliseconds of performance.now()).
 * A peer in which it fails has no figure; `failed` hears why. Ours must not fail.
 */
export async function measureProgram(
  name: string,
  native: Machine,
  lanes: readonly Lane[],
  plan: Plan,
  until: number,
  failed: (peer: string, reason: string) => void,
): Promise<ProgramFigures> {
  let expected: string | undefined;
  let count = 1;
  const runs = new Map<string, RunResult[]>();
  const record = (machine: string, result: RunResult): void => {
    expected ??= result.checksum;
    agree(name, machine, result, expected);
    runs.set(machine, [...(runs.get(machine) ?? []), result]);
  };
  let nativeWorks = true;
  try {
    count = await calibrate(native, name, plan.seconds);
  } catch (error) {
    if (!(error instanceof BenchError) || error.code !== 'program') throw error;
    failed('native', error.message);
    nativeWorks = false;
  }
  const out = new Set<string>();
  for (let round = 0; round < plan.rounds && (round === 0 || performance.now() < until); round++) {
    // Native runs are short: more of them weigh the same.
    if (nativeWorks) record('native', await native.run(name, Math.max(count, 3)));
    for (const lane of lanes) {
      const before = runs.get(lane.name) ?? [];
      if (out.has(lane.name) || (before.length >= 2 && before[0].cpu > LONG)) continue;
      try {
        lane.machine ??= await Machine.start(lane.command);
        record(lane.name, await lane.machine.run(name, count));
      } catch (error) {
        if (!(error instanceof BenchError) || error.code === 'disagree' || lane.name === 'understudy') throw error;
        failed(lane.name, error.message);
        out.add(lane.name);
        runs.delete(lane.name);
        if (error.code === 'died') lane.machine = undefined;
      }
    }
  }
  const figure = (machine: string, iterations: number): Figure | null => {
    const times = (runs.get(machine) ?? []).map((run) => run.cpu / iterations);
    if (times.length === 0) return null;
    return { time: median(times), first: times.length > 1 ? times[0] / median(times.slice(1)) : NaN };
  };
  return {
    name,
    native: figure('native', Math.max(count, 3)),
    guests: {
      understudy: figure('understudy', count),
      qemu: figure('qemu', count),
      v86: figure('v86', count),
    },
  };
}

/**
 * How much more two harts do than one, in the same time, with two programs that have nothing to do with each other.
 *
 * @param command a machine with two harts.
 */
export async function measureHarts(command: MachineCommand, plan: Plan, log: Log): Promise<number> {
  const program = 'core';
  const machine = await Machine.start(command);
  try {
    const { wall } = await machine.run(program, 20);
    // By now it is warm on neither hart for sure: one more of the pair, unmeasured.
    await machine.run(program, 20, 2);
    const count = Math.max(1, Math.round((plan.seconds * 2e9 * 20) / wall));
    const gains: number[] = [];
    for (let i = 0; i < plan.rounds; i++) {
      const one = await machine.run(program, count);
      const two = await machine.run(program, count, 2);
      gains.push((2 * one.wall) / two.wall);
    }
    const gain = median(gains);
    log(`two harts: ${gain.toFixed(2)} × one`);
    return gain;
  } finally {
    machine.kill();
  }
}
