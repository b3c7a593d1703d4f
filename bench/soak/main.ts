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
import { BOOT_ARGUMENTS, MEBIBYTES, runnerFiles } from '../guest.js';
import { killMachines, Machine } from '../machine.js';
import { understudyCommand } from '../peers/understudy.js';
import { programsFolder } from '../places.js';

/** What the looks of a machine that does not grow differ by. */
const ALLOWED_MEBIBYTES = 40;
const USAGE = `npm run bench:soak [-- OPTIONS]

  --minutes N      how long code keeps changing (default: 60)
  --json           one JSON object on standard output

Ends with an error where memory grows: by more than ${ALLOWED_MEBIBYTES} MiB from the first half to the second.
`;
/** Functions that an iteration writes (programs/hotcode.c). */
const FUNCTIONS = 8;
/** Iterations between two looks: some seconds. */
const ITERATIONS = 500;
/** Looks before memory is expected to stay what it is: compilers and collectors of garbage settle. */
const SETTLING = 8;

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
    throw new Error('changed code has computed something wrong');
  checksum = result.checksum;
  functions += FUNCTIONS * ITERATIONS;
  const look = { minutes: elapsed(), functions, residentMiB: result.resident / 2 ** 20 };
  looks.push(look);
  process.stderr.write(
    `${look.minutes.toFixed(1).padStart(6)} min  ${String(functions).padStart(9)} functions  ${look.residentMiB.toFixed(0)} MiB\n`,
  );
}
await machine.stop();

const settled = looks.slice(Math.min(SETTLING, Math.floor(looks.length / 2)));
const half = Math.floor(settled.length / 2);
const highest = (some: readonly Look[]): number => Math.max(...some.map((look) => look.residentMiB));
const growthMiB = highest(settled.slice(half)) - highest(settled.slice(0, Math.max(1, half)));
const last = looks[looks.length - 1];
const ok = growthMiB <= ALLOWED_MEBIBYTES;
const report = { ok, minutes: last.minutes, functions: last.functions, residentMiB: last.residentMiB, growthMiB };
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
else {
  process.stdout.write(
    `${last.functions} functions written and hot in ${last.minutes.toFixed(1)} minutes; resident ${last.residentMiB.toFixed(0)} MiB, ` +
      `highest of the second half ${growthMiB.toFixed(0)} MiB above that of the first\n`,
  );
}
process.exitCode = ok ? 0 : 1;
