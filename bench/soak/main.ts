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
import { killMachines, Machine } from '../machine.js';
import { median } from '../median.js';
import { understudyCommand } from '../peers/understudy.js';
import { programsFolder } from '../places.js';

/**
 * Bytes of growth for each function that was translated. A region that stayed behind would take some thousands;
 * what is allowed is for guest memory that is touched for the first time, and for the host's allocator.
 */
const ALLOWED = 100;
const USAGE = `npm run bench:soak [-- OPTIONS]

  --minutes N      how long code keeps changing (default: 60)
  --json           one JSON object on standard output

Ends with an error where memory grows by more than ${ALLOWED} bytes for each function that was translated.
`;
/** Functions that an iteration writes (programs/hotcode.c). */
const FUNCTIONS = 8;
/** Iterations between two looks: some seconds. */
const ITERATIONS = 500;

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
  readonly residentMiB: number;
}
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
  const look = { minutes: elapsed(), functions, residentMiB: result.resident / 2 ** 20 };
  looks.push(look);
  process.stderr.write(
    `${look.minutes.toFixed(1).padStart(6)} min  ${String(functions).padStart(9)} functions  ${look.residentMiB.toFixed(0)} MiB\n`,
  );
}
await machine.stop();

/** Resident memory and functions so far, in the middle of a quarter of the looks, the first being 0. */
const quarter = (k: number): { bytes: number; functions: number } => {
  const some = looks.slice(Math.floor((k * looks.length) / 4), Math.ceil(((k + 1) * looks.length) / 4));
  return {
    bytes: median(some.map((look) => look.residentMiB)) * 2 ** 20,
    functions: median(some.map((look) => look.functions)),
  };
};
// The first quarter is for compilers and collectors of garbage to settle.
const [early, late] = [quarter(1), quarter(3)];
const growth = (late.bytes - early.bytes) / Math.max(1, late.functions - early.functions);
const last = looks[looks.length - 1];
const ok = growth <= ALLOWED;
const { minutes: lasted, functions, residentMiB } = last;
const report = { ok, minutes: lasted, functions, residentMiB, growthBytesPerFunction: growth };
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
else {
  process.stdout.write(
    `${functions} functions written and hot in ${lasted.toFixed(1)} minutes; resident ${residentMiB.toFixed(0)} MiB, ` +
      `${growth.toFixed(0)} bytes more for each\n`,
  );
}
process.exitCode = ok ? 0 : 1;
