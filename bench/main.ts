// npm run bench [-- --quick] [-- --json] [-- --only NAME] [-- --machine NAME]
// The same programs natively and in Understudy, QEMU and v86: CPU time of the whole process per
// iteration. How it is measured is in docs/performance.md.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { progressPrinter } from '../src/faces/cli/progress.js';
import { ImageError } from '../src/image/index.js';
import { BenchError } from './errors.js';
import { killMachines } from './console-process.js';
import { Machine } from './machine.js';
import {
  checkProbe,
  GUESTS,
  Lane,
  measureBoot,
  measureHarts,
  measureProgram,
  type GuestName,
  type Plan,
} from './measure.js';
import type { ProgramFigures } from './measure.js';
import { prepare } from './prepare.js';
import { PROGRAMS } from './programs.js';
import { jsonReport, tableReport, type Findings } from './report.js';

const USAGE = `npm run bench [-- OPTIONS]

  --quick          shorter runs, fewer rounds: under five minutes
  --json           one JSON object on standard output
  --only NAME      one program; may be given several times
  --machine NAME   understudy, qemu or v86; may be given several times; all of them when it is not
  --rounds N       runs of each program in each machine
  --seconds S      CPU seconds of a run on a machine ten times slower than this one
  --refresh        looks for newer packages of peers and guests
  --help

Programs: ${PROGRAMS.map((program) => program.name).join(' ')}
`;

/** Of the five minutes that --quick may take, what the boots before and the harts after leave (ms). */
const QUICK_BUDGET = 180_000;

interface Options {
  readonly plan: Plan;
  readonly json: boolean;
  readonly refresh: boolean;
  readonly programs: typeof PROGRAMS;
  readonly machines: ReadonlySet<string>;
}

function parse(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      machine: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      refresh: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const number = (name: 'rounds' | 'seconds', preset: number): number => {
    const value = Number(values[name] ?? preset);
    if (!(value > 0) || (name === 'rounds' && !Number.isInteger(value)))
      throw new BenchError('usage', `--${name} ${values[name]}: a positive number is wanted`);
    return value;
  };
  const known = PROGRAMS.map((program) => program.name);
  for (const name of values.only ?? []) {
    if (!known.includes(name)) throw new BenchError('usage', `there is no program "${name}": ${known.join(' ')}`);
  }
  for (const name of values.machine ?? []) {
    if (!GUESTS.some((guest) => guest === name)) {
      throw new BenchError('usage', `there is no machine "${name}": ${GUESTS.join(' ')}`);
    }
  }
  const { quick, json, refresh } = values;
  return {
    plan: {
      rounds: number('rounds', quick ? 3 : 5),
      boots: quick ? 1 : 3,
      seconds: number('seconds', quick ? 0.1 : 0.5),
      budget: quick ? QUICK_BUDGET : Infinity,
    },
    json,
    refresh,
    programs: values.only === undefined ? PROGRAMS : PROGRAMS.filter(({ name }) => values.only?.includes(name)),
    machines: new Set(values.machine ?? GUESTS),
  };
}

const log = (message: string): void => void process.stderr.write(`${message}\n`);

async function bench(options: Options, work: string, signal: AbortSignal): Promise<Findings> {
  const { plan, programs, machines } = options;
  const debian = programs.some((program) => program.packages !== undefined);
  const progress = progressPrinter();
  const all = await prepare({
    work,
    debian,
    refresh: options.refresh,
    onProgress: progress.report,
    signal,
    wanted: (name) => machines.has(name),
  });
  progress.end();
  const missing = [...all.missing];
  for (const reason of missing) log(`missing: ${reason}`);
  const contenders = GUESTS.flatMap((name) => {
    const contender = machines.has(name) ? all[name] : undefined;
    return contender === undefined ? [] : [{ name, contender }];
  });

  const boot: Record<GuestName, number | null> = { understudy: null, qemu: null, v86: null };
  for (const { name, contender } of contenders) boot[name] = await measureBoot(contender.small, plan.boots, log);

  const size = debian ? 'large' : 'small';
  const native = await Machine.start(all.native[size]);
  const lanes: Lane[] = [];
  for (const { name, contender } of contenders) {
    const lane = new Lane(name, contender[size]);
    lane.machine = await Machine.start(lane.command);
    lanes.push(lane);
  }
  await checkProbe(
    native,
    lanes.flatMap(({ machine }) => machine ?? []),
  );
  log('the correctness probe agrees everywhere');

  const figures: ProgramFigures[] = [];
  const end = performance.now() + plan.budget;
  for (const [index, { name }] of programs.entries()) {
    const failed = (peer: string, reason: string): void => {
      missing.push(`${peer}, ${name}: ${reason}`);
      log(`${peer}: ${reason}`);
    };
    const now = performance.now();
    const until = now + (end - now) / (programs.length - index);
    const result = await measureProgram(name, native, lanes, plan, until, failed);
    const times = GUESTS.map((guest) => `${guest} ${result.guests[guest]?.time.toFixed(0) ?? '–'}`);
    log(`${index + 1}/${programs.length} ${name}: ${times.join(', ')} ns`);
    figures.push(result);
  }
  const resident: Record<GuestName, number | null> = { understudy: null, qemu: null, v86: null };
  for (const { name, machine } of lanes) {
    if (machine !== undefined && name !== 'native') resident[name] = machine.residentBytes;
    machine?.kill();
  }
  native.kill();
  const smp =
    machines.has('understudy') && availableParallelism() > 1 ? await measureHarts(all.twoHarts, plan, log) : null;
  return {
    programs: figures,
    boot,
    resident,
    smp,
    versions: all.versions,
    missing,
    conditions: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      load: Number(loadavg()[0].toFixed(2)),
      rounds: plan.rounds,
      seconds: plan.seconds,
      date: new Date().toISOString().slice(0, 10),
    },
  };
}

async function main(): Promise<number> {
  let options;
  try {
    options = parse();
  } catch (error) {
    // parseArgs throws TypeError for what it does not know.
    if (!(error instanceof BenchError) && !(error instanceof TypeError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const work = mkdtempSync(join(tmpdir(), 'understudy-bench-'));
  const interruption = new AbortController();
  const clean = (): void => {
    killMachines();
    rmSync(work, { recursive: true, force: true });
  };
  const interrupt = (status: number) => (): void => {
    interruption.abort();
    clean();
    process.exit(status);
  };
  process.once('SIGINT', interrupt(130)).once('SIGTERM', interrupt(143));
  try {
    const findings = await bench(options, work, interruption.signal);
    process.stdout.write(options.json ? `${JSON.stringify(jsonReport(findings))}\n` : tableReport(findings));
    return 0;
  } catch (error) {
    if (!(error instanceof BenchError) && !(error instanceof ImageError)) throw error;
    process.stderr.write(`bench: ${error.message}\n`);
    return 1;
  } finally {
    clean();
  }
}

process.exit(await main());
