/**
 * npm run fuzz -- [--minutes N] [--seed N]: scenes one after the other, each with the next seed. A finding is told with the
 * seed that plays it again; the first ends the run with status 1.
 */
import { play, type SceneReport } from './scene.js';

/** Milliseconds of a scene. */
const SCENE = 8000;
/** Between lines of progress (ms). */
const PROGRESS = 10_000;

const { minutes, first } = options(process.argv.slice(2));
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
  });
}
const sums = { scenes: 0, flips: 0, reboots: 0, refusedDmas: 0, gadgets: 0, rounds: 0 };
const begun = performance.now();
const end = begun + minutes * 60_000;
let told = begun;
console.log(`fuzzing for ${minutes} minutes from seed ${first}`);
for (let seed = first; performance.now() < end && !interrupted; seed++) {
  const report = await play(seed, Math.max(1000, Math.min(SCENE, end - performance.now())));
  add(report);
  if (report.finding !== undefined) {
    console.error(`seed ${seed}: ${report.finding}`);
    console.error(`again: npm run fuzz -- --seed ${seed} --minutes 0.1`);
    process.exitCode = 1;
    break;
  }
  if (performance.now() - told >= PROGRESS) {
    told = performance.now();
    console.log(`${((told - begun) / 60_000).toFixed(1)} minutes, next seed ${seed + 1}: ${summary()}`);
  }
}
console.log(`${interrupted ? 'interrupted' : 'done'}: ${summary()}`);

function add(report: SceneReport): void {
  sums.scenes++;
  for (const key of ['flips', 'reboots', 'refusedDmas', 'gadgets', 'rounds'] as const) sums[key] += report[key];
}

function summary(): string {
  return Object.entries(sums)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}

function options(args: readonly string[]): { minutes: number; first: number } {
  const value = (name: string, otherwise: number): number => {
    const at = args.indexOf(`--${name}`);
    const number = at < 0 ? otherwise : Number(args[at + 1]);
    if (Number.isFinite(number) && number >= 0) return number;
    console.error(`--${name} takes a number`);
    process.exit(2);
  };
  const minutes = value('minutes', 60);
  return { minutes, first: Math.floor(value('seed', Date.now() % 2 ** 31)) };
}
