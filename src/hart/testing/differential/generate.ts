/**
 * Random programs over the whole instruction table. Every instruction, and every compressed
 * form, has a maker that puts it among the instructions it needs to be harmless: addresses
 * stay in scratch memory, rounding modes valid, jumps inside the program.
 */
import { compressed, type Compressed } from '../../isa/table/compressed.js';
import { formats, type FormatName, type Operands } from '../../isa/table/format.js';
import { instructions } from '../../isa/table/index.js';
import type { Instruction } from '../../isa/table/instruction.js';
import { Random } from '../random.js';
import {
  CONTEXT_F,
  CONTEXT_FCSR,
  CONTEXT_SCRATCH,
  CONTEXT_SIZE,
  CONTEXT_X,
  PAGE_BOUNDARY,
  SCRATCH_MAX,
  SCRATCH_MIN,
  op,
  type Group,
  type Op,
  type Program,
} from './program.js';
import { randomDouble, randomFloatRegister, randomInteger } from './values.js';

const RA = 1;
const SP = 2;

/** What a maker knows about the program it writes for. */
interface Site {
  readonly random: Random;
  readonly anchor: number;
  readonly counter: number;
  /** Index of the group being made, and how many there will be. */
  readonly index: number;
  readonly count: number;
}

type Maker = (site: Site) => Group;

/** A register that may be written. */
const destination = ({ random, anchor, counter }: Site, ...but: number[]): number => {
  for (;;) {
    const n = random.below(32);
    if (n !== anchor && n !== counter && !but.includes(n)) return n;
  }
};
const source = ({ random }: Site): number => random.below(32);
const writable = ({ anchor, counter }: Site, n: number): boolean => n !== anchor && n !== counter;

function randomImmediate(random: Random, { min, max, step }: { min: number; max: number; step: number }): number {
  const steps = Math.floor((max - min) / step);
  switch (random.below(4)) {
    case 0:
      return random.pick([min, max - ((max - min) % step), min + step, 0 >= min ? 0 : min]);
    case 1:
      return Math.min(max, Math.max(min, random.between(-4, 4) * step));
    default:
      return min + Math.floor(((random.bits() >>> 0) / 0x1_0000_0000) * (steps + 1)) * step;
  }
}

/** A valid rounding mode, or the dynamic one: frm itself is always kept valid. */
const roundingMode = ({ random }: Site): number => random.pick([0, 1, 2, 3, 4, 7, 7]);

/** Where an access of `size` bytes goes, from the anchor; often across the page boundary. */
function place(random: Random, size: number, aligned = false): number {
  const at =
    random.oneIn(4) && !aligned ? PAGE_BOUNDARY - random.between(0, size) : random.between(SCRATCH_MIN, SCRATCH_MAX);
  return aligned ? at & -size : at;
}

/** An instruction on registers alone. */
function plain({ name, format }: Instruction): Maker {
  const { range, files } = formats[format];
  return (site) => [
    op(name, {
      rd: files.rd === 'x' ? destination(site) : source(site),
      rs1: source(site),
      rs2: source(site),
      imm: range === undefined ? 0 : randomImmediate(site.random, range),
      rm: roundingMode(site),
    }),
  ];
}

/** QEMU before 8.0 counts on into the upper half where the lower word is zero: never let it be zero. */
const ctzw: Maker = (site) => {
  const operand = destination(site, 0);
  return [
    op('bseti', { rd: operand, rs1: source(site), imm: site.random.below(32) }),
    op('ctzw', { rd: destination(site), rs1: operand }),
  ];
};

const sizeOf: Readonly<Record<string, number>> = {
  lb: 1, lh: 2, lw: 4, ld: 8, lbu: 1, lhu: 2, lwu: 4, sb: 1, sh: 2, sw: 4, sd: 8, flw: 4, fld: 8, fsw: 4, fsd: 8,
}; // prettier-ignore

/** A load or store through the anchor, a register beside it, or an address computed from data. */
function memory({ name, format }: Instruction): Maker {
  const { files } = formats[format];
  return (site) => {
    const { random, anchor } = site;
    const rd = files.rd === 'x' ? destination(site) : source(site);
    const access = (rs1: number, imm: number): Op => op(name, { rd, rs1, rs2: source(site), imm });
    const at = place(random, sizeOf[name]);
    if (random.oneIn(3)) return [access(anchor, at)];
    const base = destination(site, 0);
    if (random.oneIn(2)) {
      const imm = randomImmediate(random, { min: -2048, max: 2047, step: 1 });
      const rest = at - imm;
      return rest < -2048 || rest > 2047
        ? [access(anchor, at)]
        : [op('addi', { rd: base, rs1: anchor, imm: rest }), access(base, imm)];
    }
    return [
      op('andi', { rd: base, rs1: source(site), imm: 0x3ff }),
      op('add', { rd: base, rs1: base, rs2: anchor }),
      access(base, random.between(SCRATCH_MIN, SCRATCH_MAX - 0x3ff)),
    ];
  };
}

/** Read-modify-write of an aligned word. */
function atomic({ name }: Instruction): Maker {
  const size = name.endsWith('.w') ? 4 : 8;
  return (site) => {
    const base = destination(site, 0);
    const imm = place(site.random, size, true);
    const operands = { rd: destination(site), rs1: base, rs2: source(site), rm: site.random.below(4) };
    return [op('addi', { rd: base, rs1: site.anchor, imm }), op(name, operands)];
  };
}

/** A reservation, perhaps something in between, and a store-conditional that it may make succeed. */
const reservation: Maker = (site) => {
  const { random, anchor } = site;
  const load = random.pick(['lr.w', 'lr.d']);
  // Whether a pair of two widths succeeds is for the implementation to choose.
  const store = load.replace('lr', 'sc');
  const base = destination(site, 0);
  const imm = place(random, 8, true);
  const between: Op[] = [];
  if (random.oneIn(4)) between.push(op('sd', { rs1: base, rs2: source(site) }));
  if (random.oneIn(4)) between.push(op('sb', { rs1: anchor, rs2: source(site), imm: place(random, 1) }));
  if (random.oneIn(8)) between.push(op('addi', { rd: base, rs1: anchor, imm: place(random, 8, true) }));
  if (random.oneIn(8)) between.push(op(store, { rd: destination(site, base), rs1: base, rs2: source(site) }));
  return [
    op('addi', { rd: base, rs1: anchor, imm }),
    op(load, { rd: destination(site, base), rs1: base, rm: random.below(4) }),
    ...between,
    op(store, { rd: destination(site), rs1: base, rs2: source(site), rm: random.below(4) }),
  ];
};

const laterGroup = ({ random, index, count }: Site): number => random.between(index + 1, Math.min(count, index + 6));
const earlierGroup = ({ random, index }: Site): number => random.between(Math.max(0, index - 8), index);

/** Puts a jump backwards behind the counter. The group's own index is where a loop of one begins. */
const guarded = (site: Site, jump: readonly Op[]): Group => [
  op('addi', { rd: site.counter, rs1: site.counter, imm: -1 }),
  { ...op('bge', { rs1: 0, rs2: site.counter }), target: site.index + 1 },
  ...jump,
];

/** Forwards freely, backwards guarded; `jump` makes the ops for a target. */
const anyDirection = (site: Site, jump: (target: number) => readonly Op[]): Group =>
  site.random.oneIn(3) ? guarded(site, jump(earlierGroup(site))) : jump(laterGroup(site));

const branch =
  ({ name }: Instruction): Maker =>
  (site) =>
    anyDirection(site, (target) => [
      { ...op(name, { rs1: source(site), rs2: site.random.oneIn(3) ? 0 : source(site) }), target },
    ]);
const jal: Maker = (site) => anyDirection(site, (target) => [{ ...op('jal', { rd: destination(site) }), target }]);
/** An odd target loses its lowest bit. */
const jalr: Maker = (site) => {
  const base = destination(site, 0);
  const rd = destination(site);
  return anyDirection(site, (target) => [
    op('auipc', { rd: base }),
    { ...op('jalr', { rd, rs1: base, imm: site.random.below(2) }), target, from: 1 },
  ]);
};

const FFLAGS = 1;
const FRM = 2;
const FCSR = 3;

/** Reads and writes of the floating-point CSRs that leave frm valid. */
const floatCsr =
  ({ name }: Instruction): Maker =>
  (site) => {
    const { random } = site;
    const imm = random.pick([FFLAGS, FRM, FCSR]);
    const rd = destination(site);
    const access = op(name, { rd, rs1: source(site), imm });
    if (imm === FFLAGS) return [access];
    return [access, op('csrrwi', { rd: 0, rs1: random.below(5), imm: FRM })];
  };

const fence =
  ({ name }: Instruction): Maker =>
  ({ random }) => [op(name, { imm: name === 'fence' ? random.pick([0xff, 0x33, 0x31, 0x12]) : 0 })];

function makerOf(instruction: Instruction): Maker | undefined {
  const { name, format } = instruction;
  if (name === 'jal') return jal;
  if (name === 'jalr') return jalr;
  if (name === 'ctzw') return ctzw;
  // What needs an operating system, or is not in the reference, has tests of its own.
  const byFormat: Readonly<Record<FormatName, Maker | undefined>> = {
    R: plain(instruction),
    I: plain(instruction),
    U: plain(instruction),
    J: undefined,
    shift64: plain(instruction),
    shift32: plain(instruction),
    unary: plain(instruction),
    load: memory(instruction),
    S: memory(instruction),
    floatLoad: memory(instruction),
    floatStore: memory(instruction),
    B: branch(instruction),
    none: undefined,
    sfence: undefined,
    cbo: undefined,
    fence: fence(instruction),
    csr: floatCsr(instruction),
    csrImmediate: floatCsr(instruction),
    atomic: name.startsWith('sc.') ? reservation : atomic(instruction),
    loadReserved: reservation,
    floatR: plain(instruction),
    floatRounded: plain(instruction),
    floatUnary: plain(instruction),
    floatUnaryRounded: plain(instruction),
    floatR4: plain(instruction),
    floatCompare: plain(instruction),
    floatToInteger: plain(instruction),
    floatToIntegerRounded: plain(instruction),
    integerToFloat: plain(instruction),
    integerToFloatRounded: plain(instruction),
  };
  return byFormat[format];
}

/** Operands of a compressed form with random bits in all its fields. */
function randomForm(c: Compressed, random: Random): Operands {
  for (;;) {
    const bits = c.match | (random.bits() & ~c.mask & 0xffff);
    if (c.valid === undefined || c.valid(bits)) return c.operands(bits);
  }
}

function makerOfForm(form: Compressed): Maker | undefined {
  const { name, expandsTo } = form;
  const { format } = instructions.find((i) => i.name === expandsTo)!;
  const { files } = formats[format];
  if (name === 'c.ebreak') return undefined;
  if (name === 'c.j') return (site) => anyDirection(site, (target) => [{ ...op('jal', {}), form, target }]);
  if (format === 'B') {
    return (site) => {
      const { rs1 } = randomForm(form, site.random);
      return anyDirection(site, (target) => [{ ...op(expandsTo, { rs1 }), form, target }]);
    };
  }
  if (expandsTo === 'jalr') return (site) => indirectForm(site, form);
  const base = ['load', 'S', 'floatLoad', 'floatStore'].includes(format);
  return (site) => {
    for (;;) {
      const operands = randomForm(form, site.random);
      const { rs1, imm } = operands;
      const writesInteger = files.rd === 'x' && format !== 'S' && format !== 'floatStore';
      if (writesInteger && !writable(site, operands.rd)) {
        if (canAvoid(name, site)) continue;
        return [op('fence', { imm: 0xff })];
      }
      const access: Op = { name: expandsTo, operands, form };
      if (!base) return [access];
      if (rs1 === site.anchor) return [access];
      if (!writable(site, rs1)) {
        if (canAvoid(name, site)) continue;
        return [op('fence', { imm: 0xff })];
      }
      const at = Math.max(SCRATCH_MIN + imm, place(site.random, sizeOf[expandsTo]));
      return [op('addi', { rd: rs1, rs1: site.anchor, imm: at - imm }), access];
    }
  };
}

/** Whether another try can find other registers: c.addi16sp and accesses through sp have no choice. */
const canAvoid = (name: string, site: Site): boolean =>
  !(name.endsWith('sp') && (site.anchor === SP || site.counter === SP));

/** c.jr and c.jalr to an address made by auipc and addi. */
function indirectForm(site: Site, form: Compressed): Group {
  const links = form.name === 'c.jalr';
  if (links && !writable(site, RA)) return [op('fence', { imm: 0xff })];
  const base = destination(site, 0);
  return anyDirection(site, (target) => [
    op('auipc', { rd: base }),
    { ...op('addi', { rd: base, rs1: base }), target, from: 1 },
    { ...op('jalr', { rd: links ? RA : 0, rs1: base }), form },
  ]);
}

/** Makers by the name of what they try. */
export const makers: ReadonlyMap<string, Maker> = new Map(
  [
    ...instructions.map((instruction) => [instruction.name, makerOf(instruction)] as const),
    ...compressed.map((form) => [form.name, makerOfForm(form)] as const),
  ].filter((entry): entry is [string, Maker] => entry[1] !== undefined),
);

/** A program of up to `length` groups out of `from`, the names of makers. */
export function randomProgram(random: Random, from: readonly string[], length: number): Program {
  const anchor = random.between(1, 31);
  let counter = anchor;
  while (counter === anchor) counter = random.between(1, 31);
  const count = random.between(1, length);
  const groups = Array.from({ length: count }, (_, index) =>
    makers.get(random.pick(from))!({ random, anchor, counter, index, count }),
  );
  return { anchor, counter, groups, context: randomContext(random, counter) };
}

function randomContext(random: Random, counter: number): Uint8Array {
  const context = new Uint8Array(CONTEXT_SIZE);
  const view = new DataView(context.buffer);
  for (let n = 1; n < 32; n++) view.setBigUint64(CONTEXT_X + 8 * n, randomInteger(random), true);
  view.setBigInt64(CONTEXT_X + 8 * counter, BigInt(random.between(0, 6)), true);
  for (let n = 0; n < 32; n++) view.setBigUint64(CONTEXT_F + 8 * n, randomFloatRegister(random), true);
  view.setUint32(CONTEXT_FCSR, (random.below(5) << 5) | (random.oneIn(2) ? 0 : random.below(32)), true);
  for (let at = CONTEXT_SCRATCH; at < CONTEXT_SIZE; at += 8) {
    view.setBigUint64(at, random.oneIn(3) ? randomDouble(random) : randomInteger(random), true);
  }
  return context;
}
