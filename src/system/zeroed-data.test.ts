/** A kernel of a few hundred bytes that takes 24 MiB of memory: what its file does not hold is zero and its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { bareKernel } from '../guest/testing/bare-kernel.js';
import { SystemComputer as Computer } from './index.js';

const MIB = 2 ** 20;
const IMAGE_SIZE = 24 * MIB;

/** Reads every word of its zeroed data, then looks where the device tree is: it ends by `shutdown` if all is right, else by `reboot`. */
const LOOK = `
  li t0, 0x80001000
  li t1, ${0x8000_0000 + IMAGE_SIZE}
  li t3, 0
next:
  ld t2, (t0)
  or t3, t3, t2
  addi t0, t0, 8
  bltu t0, t1, next
  bnez t3, wrong
  bltu a1, t1, wrong
  lwu t2, (a1)
  li t3, 0xedfe0dd0
  bne t2, t3, wrong
  li a0, 0
  j end
wrong:
  li a0, 1
end:
  li a1, 0
  li a6, 0
  li a7, 0x53525354
  ecall
`;

test(
  'an image much larger than its file boots, in memory that another guest has used',
  { timeout: 60_000 },
  async () => {
    const kernel = bareKernel(LOOK).slice(0, 512);
    new DataView(kernel.buffer).setBigUint64(16, BigInt(IMAGE_SIZE), true);
    const memory = 48 * MIB;
    const computer = new Computer(nodeSystem, { memory, harts: 1, network: false });
    try {
      for (let round = 0; round < 2; round++) {
        const guest = await computer.boot({ kernel, memory, initramfs: new Uint8Array(MIB).fill(0x5a) });
        assert.deepEqual(await guest.ended, { kind: 'shutdown' });
      }
    } finally {
      await computer.close();
    }
  },
);
