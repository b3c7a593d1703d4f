/** Two harts of one OS instance, where they have to hear of each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Computer } from '../src/index.js';
import { compile } from './testing/compile.js';
import { MIB, testImage } from './testing/images.js';

test('code that one hart writes is what the other one executes, though it is translated each time', async () => {
  const { code: data } = compile('test/smp', ['code']);
  const computer = await Computer.create({ memory: 320 * MIB, harts: 2 });
  try {
    const guest = await computer.boot({
      image: await testImage('trixie'),
      memory: 256 * MIB,
      harts: 2,
      network: false,
      files: { '/opt/code': { data, mode: 0o755 } },
      run: '/opt/code',
    });
    assert.deepEqual(await guest.ended, { kind: 'shutdown' });
    assert.match(guest.console.text.slice(-500), /200 rounds, wrong: 0 and 0/);
    for (const { translator } of guest.os.reports) assert.ok(translator.regions > 200, `${translator.regions} regions`);
    assert.equal(guest.os.reports.length, 2);
  } finally {
    await computer.close();
  }
});
