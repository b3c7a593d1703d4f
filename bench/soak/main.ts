// npm run bench:soak [-- --minutes N] [-- --json]
// Code that changes for a long time, hot each time: what memory the machine takes meanwhile.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeCache } from '../../src/adapters/node/cache.js';
import { nodeCommands } from '../../src/adapters/node/commands.js';
import { buildCpio, concatCpio, prepareImage, shellProfile } from '../../src/image/index.js';
import { compilePrograms } from '../compile.js';
import { BenchError } from '../errors.js';
import { BOOT_ARGUMENTS, MEBIBYTES, runnerFiles } from '../guest.js';
import { killMachines } from '../console-process.js';
import { Machine } from '../machine.js';
import { median } from '../median.js';
import { understudyCommand } from '../peers/understudy.js';
import { programsFolder } from '../places.js';
import { residentMemory } from './resident.js';

/**
 * What the host's part of resident memory may grow by from the second quarter to the last, however long that is
 * (MiB): for allocators to settle, and for the 32 bytes that V8 11.3 keeps of every module's function type. In an
 * hour a region that stayed behind would take gigabytes.
 */
const ALLOWED = 16;
const USAGE = `npm run bench:soak [-- OPTIONS]

  --minutes N      how long code keeps changing (default: 60)
  --json           one JSON object on standard output

Ends with an error where the memory of the process grows by more than ${ALLOWED} MiB, that of the machine left out.
`;
/** Functions that an iteration writes (programs/hotcode.c). */
const FUNCTIONS = 16;
/** Iterations between two looks: some seconds. */
const ITERATIONS = 250;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
if (values.help || !(minutes > 0)) {
  process.stderr.write(USAGE);
  process.exit(values.help ? 0 : 2);
}

const folder = mkdtempSync(join(tmpdir(), 'understudy-soak-'));
process.once('exit', () => {
  killMachines();
  rmSync(folder, { recursive: true, force: true });
});
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143));

const prepared = await prepareImage(shellProfile('trixie'), { cache: nodeCache(), commands: nodeCommands });
const initramfs = join(folder, 'initramfs.cpio');
const added = buildCpio(runnerFiles(compilePrograms('riscv64', programsFolder, folder)));
writeFileSync(initramfs, concatCpio([readFileSync(prepared.initramfs), added]));
const machine = await Machine.start(
  understudyCommand({ kernel: prepared.kernel, initramfs, mebibytes: MEBIBYTES, arguments: BOOT_ARGUMENTS }),
);

interface Look {
  readonly minutes: number;
  readonly functions: number;
  /** Resident memory of the host, and of the machine: its guest and its harts' blocks. */
  readonly hostMiB: number;
  readonly machineMiB: number;
}
const machineBytes = await machine.machineMemory();
if (machineBytes === undefined) throw new BenchError('died', 'the machine does not say what memory it has');
const looks: Look[] = [];
const begun = performance.now();
const elapsed = (): number => (performance.now() - begun) / 60_000;
let checksum: string | undefined;
for (let functions = 0; elapsed() < minutes;) {
  const result = await machine.run('hotcode', ITERATIONS);
  if (checksum !== undefined && result.checksum !== checksum)
    throw new BenchError('program', 'code that has changed computes something else');
  checksum = result.checksum;
  functions += FUNCTIONS * ITERATIONS;
  const resident = residentMemory(machine.pid, machineBytes);
  const look = {
    minutes: elapsed(),
    functions,
    hostMiB: resident.host / 2 ** 20,
    machineMiB: resident.machine / 2 ** 20,
  };
  looks.push(look);
  process.stderr.write(
    `${look.minutes.toFixed(1).padStart(6)} min  ${String(functions).padStart(9)} functions  ` +
      `host ${look.hostMiB.toFixed(0)} MiB  machine ${look.machineMiB.toFixed(0)} MiB\n`,
  );
}
await machine.stop();

/** Median of the looks of a quarter of the time, the first being 0. */
const quarter = (k: number, what: 'hostMiB' | 'machineMiB'): number =>
  median(
    looks.slice(Math.floor((k * looks.length) / 4), Math.ceil(((k + 1) * looks.length) / 4)).map((look) => look[what]),
  );
// The first quarter is for compilers and collectors of garbage to settle.
const growth = (what: 'hostMiB' | 'machineMiB'): number => quarter(3, what) - quarter(1, what);
const [hostGrowthMiB, machineGrowthMiB] = [growth('hostMiB'), growth('machineMiB')];
const ok = hostGrowthMiB <= ALLOWED;
const { minutes: lasted, functions } = looks[looks.length - 1];
const report = {
  ok,
  minutes: lasted,
  functions,
  hostMiB: quarter(3, 'hostMiB'),
  hostGrowthMiB,
  machineMiB: quarter(3, 'machineMiB'),
  machineGrowthMiB,
};
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
else {
  process.stdout.write(
    `${functions} functions written and hot in ${lasted.toFixed(1)} minutes; resident in the last quarter and growth since the second: ` +
      `host ${report.hostMiB.toFixed(0)} MiB, ${hostGrowthMiB.toFixed(1)}; ` +
      `machine ${report.machineMiB.toFixed(0)} MiB, ${machineGrowthMiB.toFixed(1)}\n`,
  );
}
process.exitCode = ok ? 0 : 1;
