/** Runs programs on both sides, and boils a program that differs down to its reason. */
import { disassembleAll } from '../../isa/disassembler.js';
import { floatNames, integerNames } from '../../isa/names.js';
import { buildBatch } from './batch.js';
import {
  ANCHOR,
  CONTEXT_F,
  CONTEXT_FCSR,
  CONTEXT_SCRATCH,
  CONTEXT_SIZE,
  CONTEXT_X,
  assembleProgram,
  op,
  type Group,
  type Op,
  type Program,
} from './program.js';
import { BASE } from './batch.js';
import type { Outcome, Reference, Subject } from './sides.js';

/** For each program what differs, one line each; empty if nothing does. */
export function compare(programs: readonly Program[], reference: Reference, subject: Subject): string[][] {
  if (programs.length === 0) return [];
  const batch = buildBatch(programs);
  const expected = reference.run(batch);
  if ('failure' in expected) {
    // One program took the others with it: halve until it stands alone.
    if (programs.length > 1) {
      const half = programs.length >> 1;
      return [
        ...compare(programs.slice(0, half), reference, subject),
        ...compare(programs.slice(half), reference, subject),
      ];
    }
    return [differences({ failure: expected.failure }, subject.run(batch)[0])];
  }
  return subject.run(batch).map((actual, i) => differences(expected[i], actual));
}

const NEITHER = 'neither side ran it';

function differences(expected: Outcome, actual: Outcome): string[] {
  if ('failure' in expected || 'failure' in actual) {
    if ('failure' in expected && 'failure' in actual) return [`${NEITHER}: ${expected.failure}; ${actual.failure}`];
    const show = (o: Outcome): string => ('failure' in o ? o.failure : 'ran to its end');
    return [`reference: ${show(expected)}; hart: ${show(actual)}`];
  }
  const a = new DataView(expected.context.buffer, expected.context.byteOffset);
  const b = new DataView(actual.context.buffer, actual.context.byteOffset);
  const found: string[] = [];
  const note = (what: string, at: number): void => {
    const [x, y] = [a, b].map((view) => view.getBigUint64(at, true));
    if (x !== y) found.push(`${what}: reference 0x${x.toString(16)}, hart 0x${y.toString(16)}`);
  };
  for (let n = 1; n < 32; n++) note(integerNames[n], CONTEXT_X + 8 * n);
  for (let n = 0; n < 32; n++) note(floatNames[n], CONTEXT_F + 8 * n);
  note('fcsr', CONTEXT_FCSR);
  for (let at = CONTEXT_SCRATCH; at < CONTEXT_SIZE; at += 8) note(`memory at anchor + ${at - ANCHOR}`, at);
  return found;
}

/** Without group `index`; what led to it leads to the one after it. */
function without(program: Program, index: number): Program {
  const groups = program.groups
    .filter((_, i) => i !== index)
    .map((group) => group.map((o) => retarget(o, (t) => (t > index ? t - 1 : t))));
  return { ...program, groups };
}
const retarget = (o: Op, change: (target: number) => number): Op =>
  o.target === undefined ? o : { ...o, target: change(o.target) };

const withGroup = (program: Program, index: number, group: Group): Program => ({
  ...program,
  groups: program.groups.map((g, i) => (i === index ? group : g)),
});

function withContext(program: Program, change: (view: DataView) => void): Program {
  const context = program.context.slice();
  change(new DataView(context.buffer));
  return { ...program, context };
}

/** Simpler programs worth trying, those that take most away first. */
function simpler(program: Program): Program[] {
  const tries: Program[] = program.groups.map((_, i) => without(program, i));
  program.groups.forEach((group, g) => {
    if (group.length > 1) return;
    group.forEach((o) => {
      const to = (change: Partial<Op['operands']>): void => {
        const long = {
          ...op(o.name, { ...o.operands, ...change }),
          ...(o.target !== undefined && { target: o.target }),
        };
        tries.push(withGroup(program, g, [long]));
      };
      if (o.form !== undefined) to({});
      if (o.operands.imm !== 0 && o.target === undefined && !o.name.startsWith('csr')) to({ imm: 0 });
      if (o.operands.rs1 !== 0) to({ rs1: 0 });
      if (o.operands.rs2 !== 0) to({ rs2: 0 });
    });
  });
  const clear = (start: number, end: number): void => {
    if (program.context.subarray(start, end).some((byte) => byte !== 0)) {
      tries.push({ ...program, context: program.context.map((byte, i) => (i >= start && i < end ? 0 : byte)) });
    }
  };
  clear(CONTEXT_X + 8, CONTEXT_F);
  for (let n = 1; n < 32; n++) {
    const view = new DataView(program.context.buffer);
    const x = view.getBigInt64(CONTEXT_X + 8 * n, true);
    if (x === 0n || n === program.anchor) continue;
    tries.push(withContext(program, (v) => v.setBigInt64(CONTEXT_X + 8 * n, 0n, true)));
    if (x !== 1n) tries.push(withContext(program, (v) => v.setBigInt64(CONTEXT_X + 8 * n, 1n, true)));
  }
  clear(CONTEXT_SCRATCH, CONTEXT_SIZE);
  clear(CONTEXT_F, CONTEXT_FCSR);
  for (let n = 0; n < 32; n++) clear(CONTEXT_F + 8 * n, CONTEXT_F + 8 * n + 8);
  clear(CONTEXT_FCSR, CONTEXT_FCSR + 8);
  return tries;
}

/** A program as small as can be that still differs. All tries of a round run in one batch. */
export function shrink(program: Program, reference: Reference, subject: Subject): Program {
  let smallest = program;
  for (let round = 0; round < 200; round++) {
    const tries = simpler(smallest);
    const results = compare(tries, reference, subject);
    // One that no side can run any more is not simpler, but another.
    const better = tries.find((_, i) => results[i].length > 0 && !results[i][0].startsWith(NEITHER));
    if (better === undefined) break;
    smallest = better;
  }
  return smallest;
}

/** The program's body as assembly, what it starts from, and what differs. */
export function report(program: Program, reference: Reference, subject: Subject): string {
  const { code, body } = assembleProgram(program);
  const listing = disassembleAll(code.slice(body.start, body.end), BigInt(BASE + body.start));
  const view = new DataView(program.context.buffer);
  const initial: string[] = [];
  const show = (name: string, at: number): void => {
    const value = view.getBigUint64(at, true);
    if (value !== 0n) initial.push(`${name} = 0x${value.toString(16)}`);
  };
  for (let n = 1; n < 32; n++) if (n !== program.anchor) show(integerNames[n], CONTEXT_X + 8 * n);
  for (let n = 0; n < 32; n++) show(floatNames[n], CONTEXT_F + 8 * n);
  show('fcsr', CONTEXT_FCSR);
  const [found] = compare([program], reference, subject);
  return [
    listing,
    `anchor: ${integerNames[program.anchor]}, counter: ${integerNames[program.counter]}`,
    `before: ${initial.join(', ')}`,
    ...found,
  ].join('\n');
}
