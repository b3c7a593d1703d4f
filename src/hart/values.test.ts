/** Results that the specification fixes and random programs rarely or never see. */
import { it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble } from './isa/assembler.js';
import { BareHart } from './testing/bare-hart.js';

const MIN = -(1n << 63n);

const cases: readonly [instruction: string, a: bigint, b: bigint, result: bigint][] = [
  ['ctzw a2, a0', 0n, 0n, 32n],
  ['ctzw a2, a0', 1n << 35n, 0n, 32n],
  ['clzw a2, a0', 1n << 35n, 0n, 32n],
  ['ctz a2, a0', 0n, 0n, 64n],
  ['clz a2, a0', 0n, 0n, 64n],
  ['cpopw a2, a0', -1n, 0n, 32n],
  ['div a2, a0, a1', MIN, -1n, MIN],
  ['rem a2, a0, a1', MIN, -1n, 0n],
  ['div a2, a0, a1', 7n, 0n, -1n],
  ['divu a2, a0, a1', 7n, 0n, -1n],
  ['rem a2, a0, a1', 7n, 0n, 7n],
  ['remu a2, a0, a1', -7n, 0n, -7n],
  ['divw a2, a0, a1', -(1n << 31n), -1n, -(1n << 31n)],
  ['remw a2, a0, a1', -(1n << 31n), -1n, 0n],
  ['divuw a2, a0, a1', 7n, 1n << 32n, -1n],
  ['remuw a2, a0, a1', 0x8000_0000n, 0n, -(1n << 31n)],
  ['mulhu a2, a0, a1', -1n, -1n, -2n],
  ['mulh a2, a0, a1', MIN, MIN, 1n << 62n],
  ['mulhsu a2, a0, a1', -1n, -1n, -1n],
  ['sraiw a2, a0, 31', 0x8000_0000n, 0n, -1n],
  ['sll a2, a0, a1', 1n, 64n + 3n, 8n],
  ['srlw a2, a0, a1', 0xffff_ffff_8000_0000n, 32n + 31n, 1n],
  ['rolw a2, a0, a1', 0x8000_0001n, 31n, -(1n << 30n)],
  ['orc.b a2, a0', 0x0100_0000_0000_0080n, 0n, BigInt.asIntN(64, 0xff00_0000_0000_00ffn)],
];

for (const [instruction, a, b, result] of cases) {
  it(`${instruction} of ${a} and ${b} is ${result}`, () => {
    const hart = new BareHart();
    hart.load(0x8000_0000n, assemble(`${instruction}\n ecall`, 0x8000_0000n).code);
    hart.setX(10, a);
    hart.setX(11, b);
    hart.pc = 0x8000_0000n;
    hart.run();
    assert.equal(hart.x(12), result);
  });
}
