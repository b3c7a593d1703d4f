// npm run bench:io [-- --quick] [-- --json] [-- --only CASE] [-- --machine NAME]
// Disk and network of the same guest in our machine and in QEMU, in turns. See docs/performance.md.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { progressPrinter } from '../../src/faces/cli/progress.js';
import { ImageError } from '../../src/image/index.js';
import { killMachines } from '../console-process.js';
import { BenchError } from '../errors.js';
import { median } from '../median.js';
import { CASES, type Case } from './cases.js';
import { prepare, type ContenderName, type Mode } from './contenders.js';
import { IoMachine, type Result } from './measure.js';
import { jsonReport, tableReport, type IoFindings } from './report.js';
import { BenchServer } from './server.js';

const NAMES: readonly ContenderName[] = ['understudy', 'qemu'];

const USAGE = `npm run bench:io [-- OPTIONS]

  --quick          shorter runs: about a minute
  --json           one JSON object on standard output
  --only CASE      one case; may be given several times
  --machine NAME   understudy or qemu; both when it is not given
  --refresh        looks for newer packages
  --help

Cases: ${CASES.map(({ name }) => name).join(' ')}
`;

interface Options {
  readonly rounds: number;
  readonly milliseconds: number;
  readonly json: boolean;
  readonly refresh: boolean;
  readonly cases: readonly Case[];
  readonly machines: ReadonlySet<ContenderName>;
}

function parse(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      machine: { type: 'string', multiple: true },
      refresh: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const { only = CASES.map(({ name }) => name), machine = NAMES } = values;
  for (const name of only) {
    if (!CASES.some((c) => c.name === name)) throw new BenchError('usage', `there is no case "${name}"`);
  }
  for (const name of machine) {
    if (!NAMES.some((n) => n === name)) throw new BenchError('usage', `there is no machine "${name}"`);
  }
  return {
    rounds: 3,
    milliseconds: values.quick ? 700 : 3000,
    json: values.json,
    refresh: values.refresh,
    cases: CASES.filter(({ name }) => only.includes(name)),
    machines: new Set(NAMES.filter((name) => machine.includes(name))),
  };
}

/** Times that each of our devices is switched there and back, after the cases. */
const SWITCHES = 200;

const log = (message: string): void => void process.stderr.write(`${message}\n`);

async function bench(options: Options, work: string, signal: AbortSignal): Promise<IoFindings> {
  const progress = progressPrinter();
  const { refresh, machines: wanted, milliseconds, rounds } = options;
  const { contenders, versions, missing } = await prepare({
    work,
    wanted,
    refresh,
    onProgress: progress.report,
    signal,
  });
  progress.end();
  for (const reason of missing) log(`missing: ${reason}`);
  const server = await BenchServer.listen();
  try {
    const machines: IoMachine[] = [];
    for (const contender of contenders) {
      const machine = await IoMachine.start(contender);
      for (const mode of machine.modes) {
        await machine.enter(mode);
        await machine.check(server.port);
      }
      machines.push(machine);
    }
    log('the correctness probe agrees everywhere');
    const findings = new Map<string, Map<Mode, Result>>();
    for (const { name, unit } of options.cases) {
      const turns = machines.flatMap((machine) => machine.modes.map((mode) => ({ machine, mode })));
      const results = new Map<Mode, Result[]>(turns.map(({ mode }) => [mode, []]));
      // In turns, so that whatever else this computer does is spread evenly; the first turn is not counted.
      for (let round = -1; round < rounds; round++) {
        for (const { machine, mode } of turns) {
          await machine.enter(mode);
          const result = await machine.run(name, round < 0 ? milliseconds / 2 : milliseconds, server.port);
          if (round >= 0) results.get(mode)?.push(result);
        }
      }
      const medians = new Map(
        [...results].map(([mode, all]) => [
          mode,
          { rate: median(all.map(({ rate }) => rate)), cpu: median(all.map(({ cpu }) => cpu)) },
        ]),
      );
      findings.set(name, medians);
      const digits = unit === 'bytes' ? 1e6 : 1;
      log(`${name}: ${[...medians].map(([m, { rate }]) => `${m} ${(rate / digits).toFixed(0)}`).join(', ')}`);
    }
    // Switches are quick: many more than the cases took, so that the rare slow one is seen.
    for (const machine of machines) {
      if (machine.contender.name === 'qemu') continue;
      for (let i = 0; i < SWITCHES; i++) for (const mode of machine.modes) await machine.enter(mode);
    }
    return {
      cases: findings,
      switches: machines.flatMap(({ switches }) => switches),
      versions,
      missing,
      conditions: {
        processor: cpus()[0]?.model ?? 'unknown',
        cores: availableParallelism(),
        load: Number(loadavg()[0].toFixed(2)),
        rounds,
        seconds: milliseconds / 1000,
        date: new Date().toISOString().slice(0, 10),
      },
    };
  } finally {
    killMachines();
    server.close();
  }
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
  const work = mkdtempSync(join(tmpdir(), 'understudy-bench-io-'));
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
    process.stderr.write(`bench:io: ${error.message}\n`);
    return 1;
  } finally {
    clean();
  }
}

process.exit(await main());
