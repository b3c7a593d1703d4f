// npm run bench:shared [-- --rounds N] [-- --json]
// What sharing harts costs: loops of a guest that counts, per millisecond of CPU time of the process, so that what else the
// machine does hardly matters. An instance on a hart of its own, the same on a seat that nobody else wants, and two and
// four on one seat, together. The cases take turns; the medians are told, and each against a hart of its own.
import { parseArgs } from 'node:util';
import { BARE_DATA, BARE_MEMORY, bareKernel, COUNTING } from '../../src/guest/testing/bare-kernel.js';
import { Computer, type Instance } from '../../src/index.js';
import { CpuMeter } from '../cpu.js';
import { median } from '../median.js';

const USAGE = `npm run bench:shared [-- OPTIONS]

  --rounds N    of each case (default: 7)
  --json        one JSON object on standard output
`;

/** Guests, and whether they share. */
const CASES: Readonly<Record<string, { readonly guests: number; readonly shares: boolean }>> = {
  own: { guests: 1, shares: false },
  'shared, alone': { guests: 1, shares: true },
  'shared by two': { guests: 2, shares: true },
  'shared by four': { guests: 4, shares: true },
};
/** Milliseconds of a measurement, and before it, for the code to be translated and compiled. */
const MEASURED = 1000;
const WARM = 700;

const moment = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function counted({ os }: Instance): number {
  const { space } = os.partition;
  return Number(space.view.getBigUint64(space.offsetOf(BARE_DATA), true));
}

/** Loops for each millisecond of CPU time. */
async function measure({ guests, shares }: (typeof CASES)[string]): Promise<number> {
  const computer = await Computer.create({ memory: guests * (BARE_MEMORY + 2 ** 20), harts: 1, network: false });
  try {
    const running: Instance[] = [];
    for (let n = 0; n < guests; n++) {
      const options = { kernel: bareKernel(COUNTING), memory: BARE_MEMORY, console: 'ttyS0' } as const;
      running.push(await computer.boot({ ...options, ...(shares && { weight: 100 }) }));
    }
    await moment(WARM * guests);
    const meter = new CpuMeter(process.pid);
    const all = (): number => running.reduce((sum, guest) => sum + counted(guest), 0);
    const [cpu, loops] = [meter.read(), all()];
    await moment(MEASURED);
    return ((all() - loops) * 1e6) / (meter.read() - cpu);
  } finally {
    await computer.close();
  }
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(USAGE);
else {
  const figures = new Map(Object.keys(CASES).map((name): [string, number[]] => [name, []]));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, of] of figures) of.push(await measure(CASES[name]));
  }
  const own = median(figures.get('own') ?? []);
  const rows = [...figures].map(([name, of]) => ({
    case: name,
    loopsPerMs: Math.round(median(of)),
    ofOwn: Number((median(of) / own).toFixed(3)),
    spread: Number(((Math.max(...of) - Math.min(...of)) / median(of)).toFixed(3)),
  }));
  if (values.json) console.log(JSON.stringify({ rows }));
  else console.table(rows);
}
