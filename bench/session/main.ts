// npm run bench:session [-- --json] [-- --rounds N] [-- --variants]
// Seal-and-open pairs per second of sealed sessions beside iron-session,
// @hapi/iron and jose, on the same states, in one process. With --variants the
// asynchronous sessions, on node:crypto and on WebCrypto, are measured as well.
import { parseArgs } from 'node:util';
import { contenders, variants } from './contenders.js';
import { measure, median } from './measure.js';
import type { Rate } from './measure.js';
import { shopState } from './states.js';

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '15' }, variants: { type: 'boolean' } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds: a whole number from 1');

const PEERS = ['ironSession', 'hapiIron', 'jose'];

function rounded(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}

/** Each number is the median over the rounds; a ratio is the median of the ratios within a round. */
function summary(bytes: number, rates: Record<string, Rate[]>) {
  const wall: Record<string, number> = {};
  const perCore: Record<string, number> = {};
  for (const [name, list] of Object.entries(rates)) {
    wall[name] = rounded(median(list.map((rate) => rate.wall)));
    perCore[name] = rounded(median(list.map((rate) => rate.cpu)));
  }
  const ratios: Record<string, { wall: number; perCore: number }> = {};
  for (const peer of PEERS) {
    const against = (of: (rate: Rate) => number) =>
      rounded(median(rates['understudy'].map((rate, i) => of(rate) / of(rates[peer][i]))), 1);
    ratios[peer] = { wall: against((rate) => rate.wall), perCore: against((rate) => rate.cpu) };
  }
  return { bytes, ...wall, perCore, ratios };
}

const all = values.variants === true ? { ...contenders(), ...variants() } : contenders();
const cases = [];
for (const bytes of [200, 2048]) cases.push(summary(bytes, await measure(all, shopState(bytes), rounds, 100)));

if (values.json === true) {
  console.log(JSON.stringify({ unit: 'seal-and-open pairs per second', node: process.version, cases }, null, 2));
} else {
  for (const { bytes, perCore, ratios, ...wall } of cases) {
    console.log(`\nstate of ${bytes} bytes: seal-and-open pairs per second (per core and second)`);
    for (const [name, rate] of Object.entries(wall)) {
      const ratio =
        ratios[name] === undefined ? '' : `   we make ${ratios[name].wall} × as many (${ratios[name].perCore} ×)`;
      console.log(`  ${name.padEnd(20)} ${String(rate).padStart(7)} (${perCore[name]})${ratio}`);
    }
  }
}
