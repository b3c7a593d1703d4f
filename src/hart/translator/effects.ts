/** Which registers an instruction reads and writes, as bit masks, from its format. */
import type { Decoded } from '../isa/decoder.js';
import { formats } from '../isa/table/format.js';
import { instructions } from '../isa/table/index.js';
import type { Effects, Masks, Node } from './graph.js';

/** What tells masks apart. */
export const keyOf = ({ x, f }: Masks): string => `${x}:${f}`;

/** Of an instruction of the table: -1 for the operands that name registers of a file, else 0. */
interface Uses {
  readonly rd: Readonly<Masks>;
  readonly rs1: Readonly<Masks>;
  readonly rs2: Readonly<Masks>;
  readonly rs3: Readonly<Masks>;
}

const uses: readonly Uses[] = instructions.map(({ format }) => {
  const { files, syntax } = formats[format];
  const of = (file: keyof Masks, ...names: typeof syntax): Masks => {
    const has = names.some((name) => syntax.includes(name));
    return { x: has && file === 'x' ? -1 : 0, f: has && file === 'f' ? -1 : 0 };
  };
  return {
    rd: of(files.rd, 'rd'),
    rs1: of(files.rs1, 'rs1', 'offset', 'base'),
    rs2: of(files.rs2, 'rs2'),
    rs3: of('f', 'rs3'),
  };
});

/** The effects of an instruction of the table. */
export function effectsOf({ index, operands }: Decoded): Effects {
  const { rd, rs1, rs2, rs3 } = uses[index];
  const bitD = 1 << operands.rd;
  const bit1 = 1 << operands.rs1;
  const bit2 = 1 << operands.rs2;
  return {
    reads: {
      x: ((bit1 & rs1.x) | (bit2 & rs2.x)) & ~1,
      f: (bit1 & rs1.f) | (bit2 & rs2.f) | ((1 << operands.imm) & rs3.f),
    },
    writes: { x: bitD & rd.x & ~1, f: bitD & rd.f },
  };
}

const DYNAMIC = 7;

/** Instructions that use the floating-point unit; those that may round as frm says. */
const floats: readonly boolean[] = instructions.map(({ format }) => Object.values(formats[format].files).includes('f'));
const rounds: readonly boolean[] = instructions.map(({ format }) => formats[format].syntax.includes('rm'));

/** What a region needs of the floating-point unit. */
export interface FloatGuard {
  readonly uses: boolean;
  /** An instruction rounds as frm says. */
  readonly dynamicRounding: boolean;
}

/** What the instructions of a region need of the floating-point unit. */
export function floatGuard(nodes: readonly Node[]): FloatGuard {
  let usesUnit = false;
  let dynamicRounding = false;
  for (const node of nodes) {
    for (const { decoded } of node.steps) {
      if (!floats[decoded.index]) continue;
      usesUnit = true;
      if (rounds[decoded.index] && decoded.operands.rm === DYNAMIC) dynamicRounding = true;
    }
  }
  return { uses: usesUnit, dynamicRounding };
}
