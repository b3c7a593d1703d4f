/**
 * The counters `instret` and `cycle` (unprivileged specification 8.1): exact at each instruction, whichever engine runs
 * it. A read gives what had retired before it, so that two reads with n instructions between them differ by n + 1.
 */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble } from './isa/assembler.js';
import * as S from './state.js';
import { Random } from './testing/random.js';
import { CODE, DATA, HANDLER, Stage, USER_CODE } from './testing/stage.js';

const SEED = Number(process.env['HART_SEED'] ?? 1);
const NOWHERE = 0x10n;
const counters = ['instret', 'cycle'];

/** Runs `source` many times over on a hart, hot at last, and checks each time what a4 minus a3 is. */
function check(source: string, expected: bigint, prepare: (stage: Stage) => void = () => undefined): void {
  const stage = new Stage();
  stage.hart.load(HANDLER, assemble('csrr t6, sepc\n addi t6, t6, 4\n csrw sepc, t6\n sret', HANDLER).code);
  stage.hart.set(S.STVEC, HANDLER);
  stage.hart.set(S.SCOUNTEREN, 7n);
  prepare(stage);
  const labels = stage.code(`${source}\n sub a4, a4, a3\n end: ecall`);
  for (let time = 0; time < 30; time++) {
    stage.hart.setX(8, DATA);
    stage.hart.setX(9, NOWHERE);
    assert.deepEqual(stage.run(CODE, 'S', 1_000_000), { at: labels.get('end') });
    assert.equal(stage.hart.x(14), expected, `${source}: run ${time}`);
  }
}

const reads = (between: string, counter = 'instret'): string =>
  `csrr a3, ${counter}\n ${between}\n csrr a4, ${counter}`;
const nops = (n: number): string => 'nop\n'.repeat(n);

describe('instret and cycle', () => {
  for (const counter of counters) {
    it(`${counter}: between reads in a row of instructions`, () => {
      for (let n = 0; n < 12; n++) {
        check(reads(nops(n), counter), BigInt(n + 1));
        check(`${nops(n)} ${reads('', counter)}`, 1n);
        check(`${nops(n)} ${reads(nops(2), counter)}\n ${nops(n)}`, 3n);
      }
    });
  }

  it('between instructions that are done in pairs, at random', () => {
    const random = new Random(SEED);
    const kinds = ['addi t0, t0, 1', 'ld t1, (s0)', 'sd t1, 8(s0)', 'add t0, t0, t1', 'slli t1, t0, 3', 'lw t2, 16(s0)', 'sw t2, 20(s0)', 'mv t3, t0', 'andi t1, t1, 7', '.half 0x0001', 'bne s0, s0, end', 'beqz zero, 4']; // prettier-ignore
    for (let program = 0; program < 60; program++) {
      const some = (): string[] => Array.from({ length: random.below(20) }, () => random.pick(kinds));
      const between = some().map((line) => line.replace('beqz zero, 4', 'nop'));
      const around = [some(), some()].map((lines) => lines.filter((line) => !line.startsWith('beqz')).join('\n'));
      check(`${around[0]}\n ${reads(between.join('\n'))}\n ${around[1]}`, BigInt(between.length + 1));
    }
  });

  it('across loops, calls and pages', () => {
    check(reads('li t0, 1000\n loop: addi t0, t0, -1\n ld t1, (s0)\n bnez t0, loop'), 1n + 1n + 3000n);
    check(`j start\n f: addi t1, t1, 1\n ret\n start: ${reads('li t0, 100\n loop: jal ra, f\n addi t0, t0, -1\n bnez t0, loop')}`, 502n); // prettier-ignore
    check(`j there\n .space 4076\n there: ${reads(nops(8))}`, 9n);
  });

  it('in each turn of a loop', () => {
    const source = `li t0, 500\n li a4, 0\n li a3, 0\n csrr t2, instret
      loop: ld t1, (s0)\n csrr t3, instret\n sub t4, t3, t2\n mv t2, t3\n add a4, a4, t4\n addi t0, t0, -1\n bnez t0, loop`;
    check(source, 2n + 499n * 7n);
  });

  const copies: readonly (readonly [string, number, string])[] = [
    ['copies by bytes', 6, 'lbu t1, (t2)\n sb t1, (t3)\n addi t2, t2, 1\n addi t3, t3, 1\n addi t0, t0, -1'],
    ['copies by words', 6, 'ld t1, (t2)\n sd t1, (t3)\n addi t2, t2, 8\n addi t3, t3, 8\n addi t0, t0, -1'],
    ['fills by words', 4, 'sd zero, (t3)\n addi t3, t3, 8\n addi t0, t0, -1'],
  ];
  for (const [name, length, turn] of copies) {
    it(`across a loop that ${name}`, () => {
      for (const turns of [1, 7, 100, 1000]) {
        const loop = `li t0, ${turns}\n mv t2, s0\n lui t3, 4\n add t3, t3, s0\n`;
        check(reads(`${loop} loop: ${turn}\n bnez t0, loop`), BigInt(1 + 4 + length * turns));
      }
    });
  }

  it('an instruction that traps does not count, and what its handler executes does', () => {
    // The handler's four instructions.
    for (const trapping of [
      'ld t0, (s1)',
      'sd t0, (s1)',
      'amoadd.d t0, t0, (s1)',
      'ebreak',
      '.word 0',
      'csrr t0, 0x7c0',
      'lr.w t0, (s1)',
    ]) {
      // prettier-ignore
      for (const [before, behind] of [[0, 0], [3, 0], [0, 3], [2, 4]]) {
        check(reads(`${nops(before)}\n ${trapping}\n ${nops(behind)}`), BigInt(before + behind + 4 + 1));
      }
    }
  });

  it('an instruction that cannot be fetched does not count', () => {
    // The handler goes back to ra.
    const back = (stage: Stage): void => stage.hart.load(HANDLER, assemble('csrw sepc, ra\n sret', HANDLER).code);
    check(reads('jalr ra, (s1)'), 1n + 1n + 2n, back);
  });

  it('a call of the SBI does not count', () => {
    const stage = new Stage();
    stage.code(`csrr a3, instret\n nop\n ecall\n nop\n csrr a4, instret\n ecall`);
    for (let time = 0; time < 30; time++) {
      assert.deepEqual(stage.run(CODE), { at: CODE + 8n });
      assert.ok('at' in stage.run(CODE + 12n));
      assert.equal(stage.hart.x(14) - stage.hart.x(13), 3n);
    }
  });

  it('in user mode, across its calls', () => {
    const stage = new Stage();
    stage.hart.set(S.SCOUNTEREN, 7n);
    stage.hart.load(HANDLER, assemble('csrr t6, sepc\n addi t6, t6, 4\n csrw sepc, t6\n beqz a7, over\n sret\n over: ecall', HANDLER).code); // prettier-ignore
    stage.tables.use();
    const source = 'li a7, 1\n csrr a3, instret\n nop\n ecall\n nop\n csrr a4, cycle\n li a7, 0\n ecall';
    stage.code(source, 'U');
    for (let time = 0; time < 30; time++) {
      stage.run(USER_CODE, 'U');
      assert.equal(stage.hart.x(14) - stage.hart.x(13), 1n + 2n + 5n);
    }
  });

  it('goes on over the ends of turns', () => {
    const stage = new Stage();
    const labels = stage.code(`${reads('li t0, 2000\n loop: addi t0, t0, -1\n bnez t0, loop')}\n end: ecall`);
    const { hart } = stage;
    for (const budget of [1, 2, 7, 100, 9999]) {
      hart.privilege = 'S';
      hart.pc = CODE;
      while (hart.pc !== labels.get('end')) hart.core.run(hart.h, budget);
      assert.equal(hart.x(14) - hart.x(13), 4002n, `budget ${budget}`);
    }
  });
});
