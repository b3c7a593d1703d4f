/**
 * Random programs over the whole instruction table, on QEMU's user emulation and on the hart.
 *
 * HART_PROGRAMS sets how many programs each test runs, HART_SEED where it starts. A program
 * that differs is shrunk and printed as assembly.
 */
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { compare, report, shrink } from '../src/hart/testing/differential/compare.js';
import { makers, randomProgram } from '../src/hart/testing/differential/generate.js';
import { op, type Program } from '../src/hart/testing/differential/program.js';
import { Reference, Subject } from '../src/hart/testing/differential/sides.js';
import { Random } from '../src/hart/testing/random.js';

const PROGRAMS = Number(process.env['HART_PROGRAMS'] ?? 1000);
const SEED = Number(process.env['HART_SEED'] ?? 1);
const BATCH = 500;

describe('random programs leave the same state as on QEMU', () => {
  let reference: Reference;
  let subject: Subject;
  before(() => {
    reference = new Reference();
    subject = new Subject();
  });
  after(() => reference[Symbol.dispose]());

  /** Runs programs in batches; throws with the first that differs, made small. */
  function check(make: (random: Random) => Program): void {
    const random = new Random(SEED);
    for (let done = 0; done < PROGRAMS; done += BATCH) {
      const programs = Array.from({ length: Math.min(BATCH, PROGRAMS - done) }, () => make(random));
      const results = compare(programs, reference, subject);
      const failing = results.flatMap((found, i) => (found.length > 0 ? [i] : []));
      if (failing.length > 0) {
        const small = shrink(programs[failing[0]], reference, subject);
        assert.fail(
          `${failing.length} of ${programs.length} programs differ; one of them, made small:\n${report(small, reference, subject)}`,
        );
      }
    }
  }

  it('would find a difference, and makes it small', () => {
    // The clock is what the two sides cannot agree on.
    const program = randomProgram(new Random(SEED), ['add', 'xor', 'sd', 'c.addi'], 6);
    const rd = [5, 6, 7].find((n) => n !== program.anchor && n !== program.counter)!;
    const groups = [...program.groups, [op('csrrs', { rd, imm: 0xc01 })]];
    const differing = { ...program, groups };
    const [found] = compare([differing], reference, subject);
    assert.ok(found.length > 0);
    const small = shrink(differing, reference, subject);
    assert.equal(small.groups.length, 1);
    assert.match(report(small, reference, subject), /csrrs t[012],time,zero[^]*t[012]: reference 0x/);
  });

  const names = [...makers.keys()];
  const isFloat = (name: string): boolean => /^(c\.)?f(?!ence)|^csr/.test(name);

  it('integer instructions, one or two groups at a time', () =>
    check((random) =>
      randomProgram(
        random,
        names.filter((name) => !isFloat(name)),
        2,
      ),
    ));
  it('integer instructions', () =>
    check((random) =>
      randomProgram(
        random,
        names.filter((name) => !isFloat(name)),
        40,
      ),
    ));
  it('floating-point instructions', () => check((random) => randomProgram(random, names.filter(isFloat), 20)));
  it('all instructions', () => check((random) => randomProgram(random, names, 40)));
});
