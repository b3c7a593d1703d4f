/** Debian's kernels fence the addresses that a process unmaps or maps anew: its hot code must be gone then, or the new one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Computer } from '../src/index.js';
import { compile } from './testing/compile.js';
import { KERNELS, MIB, testImage } from './testing/images.js';

const { remap: data } = compile('test/code', ['remap']);

for (const kernel of KERNELS) {
  test(`hot code that is unmapped faults, and replaced code is the new one, on Debian's kernel of ${kernel}`, async () => {
    const computer = await Computer.create({ memory: 320 * MIB, harts: 1 });
    try {
      const guest = await computer.boot({
        image: await testImage(kernel),
        memory: 256 * MIB,
        network: false,
        files: { '/opt/remap': { data, mode: 0o755 } },
        run: '/opt/remap',
      });
      assert.deepEqual(await guest.ended, { kind: 'shutdown' });
      assert.match(
        guest.console.text.slice(-500),
        /200 rounds; executed though unmapped: 0, though replaced: 0, else wrong: 0/,
      );
      const [{ translator }] = guest.os.reports;
      assert.ok(translator.regions > 100, `${translator.regions} regions`);
    } finally {
      await computer.close();
    }
  });
}
