// npm run bench:touch [-- --json] [-- --rounds N]
// What a page costs a hart when its TLB does not know it: one that has its frame, at a load and at a store, with and without
// page tables; and one that is absent, which gets its frame out of the reserve. In nanoseconds, the fastest of the rounds.
import { parseArgs } from 'node:util';
import { assemble } from '../src/hart/isa/assembler.js';
import { EXIT_SIGNAL } from '../src/hart/exits.js';
import { SIGNAL } from '../src/hart/state.js';
import { BareHart, bareMemory } from '../src/hart/testing/bare-hart.js';
import { A, D, PageTables, R, V, W, X } from '../src/hart/testing/sv39.js';

const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '40' } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds: a whole number from 1');

const BASE = 0x8000_0000n;
const BEFORE = 2048;
const DATA = BASE + BigInt(BEFORE) * 4096n;
/** More than the second TLB has entries. */
const PRESENT = 20_000;
/** As many as a reserve holds. */
const ABSENT = 512;

interface Case {
  readonly name: string;
  readonly access: 'load' | 'store';
  readonly translated: boolean;
  readonly absent: boolean;
}

/** Runs the case once: nanoseconds for each page. */
function prepare({ access, translated, absent }: Case): () => number {
  const pages = absent ? ABSENT : PRESENT;
  const hart = new BareHart(bareMemory({ ramPages: BEFORE + pages }), 0, {}, 'translator');
  const code = `
    li t0, ${pages}
    lui t1, 1
    loop: ${access === 'load' ? 'ld a2, 8(a0)' : 'sd t0, 8(a0)'}
    add a0, a0, t1
    addi t0, t0, -1
    bnez t0, loop
    ecall`;
  hart.load(BASE, assemble(code, BASE).code);
  if (translated) {
    const tables = new PageTables(hart, BASE + 0x10_0000n);
    tables.map(BASE, BASE, V | R | X | A | D);
    for (let at = DATA; at < DATA + BigInt(pages) * 4096n; at += 4096n) tables.map(at, at, V | R | W | A | D);
    tables.use();
  }
  return () => {
    if (absent) for (let page = 0; page < pages; page++) hart.takeAway(DATA + BigInt(page) * 4096n);
    hart.setX(10, DATA);
    hart.privilege = 'S';
    hart.pc = BASE;
    const start = performance.now();
    while (hart.core.run(hart.h, 10_000_000) === EXIT_SIGNAL) Atomics.store(hart.words, (hart.h + SIGNAL) >> 2, 0);
    return ((performance.now() - start) * 1e6) / pages;
  };
}

const cases: readonly Case[] = [false, true].flatMap((absent) =>
  [false, true].flatMap((translated) =>
    (['load', 'store'] as const).map((access) => ({
      name: `${absent ? 'absent' : 'present'}, ${access}, ${translated ? 'page tables' : 'no translation'}`,
      access,
      translated,
      absent,
    })),
  ),
);
const runs = cases.map((one) => prepare(one));
for (const run of runs) for (let i = 0; i < 3; i++) run();
const best = cases.map(() => Infinity);
for (let round = 0; round < rounds; round++) runs.forEach((run, i) => (best[i] = Math.min(best[i], run())));
if (values.json) console.log(JSON.stringify(Object.fromEntries(cases.map(({ name }, i) => [name, best[i]]))));
else cases.forEach(({ name }, i) => console.log(`${name.padEnd(34)}${best[i].toFixed(1).padStart(8)} ns`));
