// node build/.../bench/quick.js [PROGRAM ...] [--seconds S] [--rounds N] [--kernel IMAGE --initramfs CPIO]
// Our machine alone, and what it makes of some programs: for work on the translator. --seconds is for
// how long a machine ten times slower than this one would run; the results are compared with this one's.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeCache } from '../src/adapters/node/cache.js';
import { nodeCommands } from '../src/adapters/node/commands.js';
import { buildCpio, concatCpio, prepareImage, shellProfile } from '../src/image/index.js';
import { compilePrograms } from './compile.js';
import { understudyCommand } from './peers/understudy.js';
import { BOOT_ARGUMENTS, runnerFiles } from './guest.js';
import { killMachines } from './console-process.js';
import { Machine } from './machine.js';
import { median } from './median.js';
import { programsFolder } from './places.js';
import { PROBE, PROGRAMS } from './programs.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '0.3' },
    rounds: { type: 'string', default: '3' },
    kernel: { type: 'string' },
    initramfs: { type: 'string' },
    harts: { type: 'string', default: '1' },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const own = PROGRAMS.filter((program) => program.packages === undefined).map((program) => program.name);
const names = positionals.length > 0 ? positionals : [PROBE, ...own];

const folder = mkdtempSync(join(tmpdir(), 'understudy-quick-'));
process.once('exit', () => {
  killMachines();
  rmSync(folder, { recursive: true, force: true });
});
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143));

const prepared =
  values.kernel !== undefined && values.initramfs !== undefined
    ? { kernel: values.kernel, initramfs: values.initramfs }
    : await prepareImage(shellProfile('trixie'), { cache: nodeCache(), commands: nodeCommands });
const initramfs = join(folder, 'initramfs.cpio');
const added = buildCpio(runnerFiles(compilePrograms('riscv64', programsFolder, folder)));
writeFileSync(initramfs, concatCpio([readFileSync(prepared.initramfs), added]));
const guest = { kernel: prepared.kernel, initramfs, mebibytes: 256, arguments: BOOT_ARGUMENTS };

const native = await Machine.start({
  name: 'native',
  command: compilePrograms('native', programsFolder, folder),
  args: [],
  native: true,
});
const machine = await Machine.start(understudyCommand(guest, Number(values.harts)));
console.log(`boot ${(machine.boot / 1e9).toFixed(2)} s CPU`);
console.log(
  `${'program'.padEnd(12)}${['ns/iteration', 'native', 'ratio', 'MIPS', 'first'].map((s) => s.padStart(13)).join('')}`,
);
for (const name of names) {
  await native.run(name, 1);
  const one = await native.run(name, 5);
  const count = Math.max(1, Math.round((seconds * 1e9) / 10 / (one.cpu / 5)));
  const reference = (await native.run(name, count)).cpu / count;
  const results = [];
  for (let i = 0; i < rounds; i++) results.push(await machine.run(name, count));
  const wrong = results.find((r) => r.checksum !== one.checksum);
  const time = median(results.map((r) => r.cpu)) / count;
  const mips = median(results.map((r) => ((r.instructions ?? 0) / r.cpu) * 1000));
  const first = results[0].cpu / count / (rounds > 1 ? median(results.slice(1).map((r) => r.cpu)) / count : time);
  const cells = [
    time.toFixed(0),
    reference.toFixed(0),
    (time / reference).toFixed(2),
    mips.toFixed(0),
    first.toFixed(2),
  ];
  const note = wrong === undefined ? '' : `  WRONG: ${wrong.checksum}, native ${one.checksum}`;
  console.log(`${name.padEnd(12)}${cells.map((cell) => cell.padStart(13)).join('')}${note}`);
  if (wrong !== undefined) process.exitCode = 1;
}
console.log(`resident ${(machine.residentBytes / 2 ** 20).toFixed(0)} MiB`);
await machine.stop();
await native.stop();
