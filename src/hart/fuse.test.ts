/** Pairs of instructions that are one operation of the interpreter: each half is still itself. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { SlotDecoder } from './slot-decoder.js';
import { firstOf, operations, pairOf } from './isa/operations.js';
import { OP_FIRST, OP_UNDECODED, SLOTS_PER_PAGE, SLOT_SIZE } from './slots.js';
import * as S from './state.js';
import { CODE, DATA, Stage } from './testing/stage.js';

/** Where nothing is mapped and no device is. */
const NOWHERE = 0x10n;

/** Operations of the slots at the halfwords `at` after decoding `code`. */
function decoded(code: readonly number[], ...at: readonly number[]): number[] {
  const buffer = new SharedArrayBuffer(0x10000);
  new Uint16Array(buffer).set(code, 0x8000 >> 1);
  new SlotDecoder(buffer).decode(0, 0x8000, SLOTS_PER_PAGE);
  const bytes = new Uint8Array(buffer);
  return at.map((halfword) => bytes[halfword * SLOT_SIZE]);
}
const names = (operation: number): string[] => operations[operation - OP_FIRST].map((part) => part.instruction.name);

describe('fused slots', () => {
  it('a slot does what its instruction and the next one do, whose slot stays', () => {
    // c.ldsp a0, 0(sp); c.ldsp a1, 8(sp); c.ldsp a2, 16(sp); c.jr ra
    const [first, second, third, last] = decoded([0x6502, 0x65a2, 0x6642, 0x8082], 0, 1, 2, 3);
    assert.deepEqual([names(first), names(second)], [['ld', 'ld'], ['ld', 'ld']]); // prettier-ignore
    assert.deepEqual([names(third), names(last)], [['ld'], ['jalr']]);
    assert.equal(firstOf[first], third);
    assert.equal(pairOf[(third << 8) | third], first);
  });

  it('nothing is fused over the end of a block or of the page', () => {
    // c.jr ra; c.ldsp a0, 0(sp)
    assert.deepEqual(decoded([0x8082, 0x6502], 1), [OP_UNDECODED]);
    const page = new Array<number>(SLOTS_PER_PAGE).fill(0x6502);
    const [beforeLast, last] = decoded(page, SLOTS_PER_PAGE - 2, SLOTS_PER_PAGE - 1);
    assert.deepEqual([names(beforeLast), names(last)], [['ld', 'ld'], ['ld']]);
  });

  const faults = [
    ['ld a0, 0(s0)\n ld a1, 0(s1)', 4n, 5n],
    ['sd a2, 0(s0)\n sd a3, 0(s1)', 4n, 7n],
    // c.addi s0, 1; c.sd a3, 0(s1)
    ['.half 0x0405\n .half 0xe094', 2n, 7n],
  ] as const;
  for (const [source, length, cause] of faults) {
    it(`${source.replace('\n', ';')}: the second one traps as itself`, () => {
      const stage = new Stage();
      stage.hart.setX(8, DATA);
      stage.hart.setX(9, NOWHERE);
      const before = stage.hart.get(S.INSTRET);
      assert.deepEqual(stage.execute(source), { cause, epc: CODE + length, tval: NOWHERE });
      const both = stage.hart.get(S.INSTRET) - before;

      // Entered at the second one, it counts one instruction less.
      const middle = stage.hart.get(S.INSTRET);
      assert.deepEqual(stage.run(CODE + length), { cause, epc: CODE + length, tval: NOWHERE });
      assert.equal(stage.hart.get(S.INSTRET) - middle, both - 1n);
    });
  }

  it('the second one sees what the first one has written, and its own address', () => {
    const stage = new Stage();
    stage.hart.write64(DATA, DATA + 8n);
    stage.hart.write64(DATA + 8n, 77n);
    stage.hart.setX(8, DATA);
    stage.execute('ld a0, 0(s0)\n ld a1, 0(a0)\n auipc a2, 0\n addi a2, a2, 5\n ecall');
    assert.equal(stage.hart.x(11), 77n);
    assert.equal(stage.hart.x(12), CODE + 8n + 5n);
  });
});
