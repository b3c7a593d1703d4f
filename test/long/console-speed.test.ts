/** 100,000 lines on Linux's console: what they cost, and that each arrives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Computer } from '../../src/index.js';
import { MIB, testImage } from '../testing/images.js';

const LINES = 100_000;
const ROUNDS = 3;
/** CPU seconds of the whole process, which other load on the machine does not change much. It was 14. */
const MOST_CPU = 7;

test('100,000 lines', { timeout: 300_000 }, async (t) => {
  const computer = await Computer.create({ memory: 320 * MIB, harts: 1 });
  t.after(() => computer.close());
  const guest = await computer.boot({ image: await testImage('trixie'), memory: 256 * MIB });
  await guest.console.waitFor(/[#$] (\x1b\[6n)?$/);
  const decoder = new TextDecoder();
  let text = '';
  guest.console.listen((bytes) => {
    text += decoder.decode(bytes, { stream: true });
  });
  const expected = Array.from({ length: LINES }, (_, i) => `${i + 1}\r\n`).join('');
  const rounds: { cpu: number; seconds: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    text = '';
    const start = performance.now();
    const cpu = process.cpuUsage();
    await guest.console.write(`seq ${LINES}; echo is-${round}-"done"\n`);
    await guest.console.waitFor(`is-${round}-done`, { timeout: 120_000 });
    const { user, system } = process.cpuUsage(cpu);
    rounds.push({ cpu: (user + system) / 1e6, seconds: (performance.now() - start) / 1000 });
    assert.ok(text.includes(`\n${expected}is-${round}-done`), 'every line arrives, in order');
  }
  const median = (of: 'cpu' | 'seconds'): number => rounds.map((r) => r[of]).sort((a, b) => a - b)[ROUNDS >> 1];
  t.diagnostic(`${median('seconds').toFixed(1)} s, ${median('cpu').toFixed(1)} s of CPU`);
  assert.ok(median('cpu') < MOST_CPU, `${median('cpu').toFixed(1)} s of CPU`);
});
