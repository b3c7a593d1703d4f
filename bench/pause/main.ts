// npm run bench:pause [-- --memory 16,64,256] [-- --rounds N] [-- --many] [-- --json]
// How long a Redis server stands still when it moves, against the memory it has. Each move is the first of a new
// computer, as `understudy demo` makes it; the sizes take turns, so that what else the machine does falls on all alike.
import { execFile } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs, promisify } from 'node:util';
import { median } from '../median.js';
import { measureMany } from './many.js';

const USAGE = `npm run bench:pause [-- OPTIONS]

  --memory LIST    MiB of data, of 16, 64 and 256 (default: all three)
  --rounds N       moves of each (default: 3)
  --many           domains with very many descriptors, threads, processes and mappings instead
  --json           one JSON object on standard output
`;
/** A whole demonstration, on a machine that does much else (ms). */
const TIME_LIMIT = 600_000;
/** This build's own. */
const CLI = new URL('../../src/faces/cli/main.js', import.meta.url).href;
const DEMO = `const { main } = await import(${JSON.stringify(CLI)}); process.exitCode = await main(process.argv.slice(1));`;

/** What a demonstration says of its move; more than this is in docs/demo.md. */
interface Move {
  readonly movePauseMs: number;
  readonly pauseMs: number;
  readonly pauseParts: Readonly<Record<string, number>>;
  readonly framesFlipped: number;
  readonly bytesCopied: number;
}

const run = promisify(execFile);

async function move(memory: number): Promise<Move> {
  const demo = ['--input-type=module', '-e', DEMO, '--', 'demo', '--json', '--memory', String(memory)];
  const { stdout } = await run(process.execPath, demo, { timeout: TIME_LIMIT });
  const result = JSON.parse(stdout) as Move & { ok: boolean };
  if (!result.ok) throw new Error(`a demonstration with ${memory} MiB did not go as it should`);
  return result;
}

const round = (n: number): number => Math.round(n * 10) / 10;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      memory: { type: 'string', default: '16,64,256' },
      rounds: { type: 'string', default: '3' },
      many: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  if (values.many) {
    const rows = await measureMany();
    if (values.json) console.log(JSON.stringify({ rows }));
    else console.table(rows);
    return;
  }
  const sizes = values.memory.split(',').map(Number);
  const moves = new Map(sizes.map((size): [number, Move[]] => [size, []]));
  for (let i = 0; i < Number(values.rounds); i++) {
    for (const [size, done] of moves) {
      const m = await move(size);
      done.push(m);
      console.error(`${size} MiB: stood still for ${m.movePauseMs} ms, ${m.pauseMs} ms between two replies`);
    }
  }
  const rows = [...moves].map(([memory, all]) => {
    const of = (pick: (m: Move) => number): number => round(median(all.map(pick)));
    const parts = Object.keys(all[0]?.pauseParts ?? {});
    return {
      memory,
      movePauseMs: of((m) => m.movePauseMs),
      least: round(Math.min(...all.map((m) => m.movePauseMs))),
      gapMs: of((m) => m.pauseMs),
      parts: Object.fromEntries(parts.map((name) => [name, of((m) => m.pauseParts[name])])),
      framesFlipped: of((m) => m.framesFlipped),
    };
  });
  const machine = { cores: availableParallelism(), load: round(loadavg()[1]), node: process.version };
  if (values.json) return console.log(JSON.stringify({ machine, rounds: Number(values.rounds), rows }));
  console.log(
    `\n${machine.cores} cores, load ${machine.load}, Node ${machine.node}; medians of ${values.rounds} first moves`,
  );
  console.table(
    rows.map(({ memory, movePauseMs, least, gapMs, parts, framesFlipped }) => ({
      'data MiB': memory,
      'pause ms': movePauseMs,
      'least ms': least,
      'gap ms': gapMs,
      ...parts,
      frames: framesFlipped,
    })),
  );
  const [first, last] = [rows[0], rows.at(-1)];
  if (first !== undefined && last !== undefined && first !== last)
    console.log(
      `${last.memory} MiB against ${first.memory} MiB: ${round((10 * last.movePauseMs) / first.movePauseMs) / 10}×`,
    );
}

await main();
