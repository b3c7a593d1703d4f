/** Which registers an instruction reads and writes, as bit masks, from its format. */
import type { Decoded } from '../decoder.js';
import { formats } from '../table/format.js';
import { instructions } from '../table/index.js';
import type { Node } from './graph.js';
import type { FloatGuard } from './region-context.js';

/** One bit per register; x0 is never set. */
export interface Masks {
  x: number;
  f: number;
}

/** What tells masks apart. */
export const keyOf = ({ x, f }: Masks): string => `${x}:${f}`;

export interface Effects {
  readonly reads: Readonly<Masks>;
  readonly writes: Readonly<Masks>;
}

/** Of an instruction of the table: where its operands name registers. */
interface Uses {
  readonly rd: keyof Masks | undefined;
  readonly rs1: keyof Masks | undefined;
  readonly rs2: keyof Masks | undefined;
  readonly rs3: boolean;
}

const uses: readonly Uses[] = instructions.map(({ format }) => {
  const { files, syntax } = formats[format];
  const has = (...names: typeof syntax): boolean => names.some((name) => syntax.includes(name));
  return {
    rd: has('rd') ? files.rd : undefined,
    rs1: has('rs1', 'offset', 'base') ? files.rs1 : undefined,
    rs2: has('rs2') ? files.rs2 : undefined,
    rs3: has('rs3'),
  };
});

/** The effects of an instruction of the table. */
export function effectsOf({ index, operands }: Decoded): Effects {
  const { rd, rs1, rs2, rs3 } = uses[index];
  const reads: Masks = { x: 0, f: 0 };
  const writes: Masks = { x: 0, f: 0 };
  if (rd !== undefined) writes[rd] = 1 << operands.rd;
  if (rs1 !== undefined) reads[rs1] |= 1 << operands.rs1;
  if (rs2 !== undefined) reads[rs2] |= 1 << operands.rs2;
  if (rs3) reads.f |= 1 << operands.imm;
  reads.x &= ~1;
  writes.x &= ~1;
  return { reads, writes };
}

const DYNAMIC = 7;

/** Instructions that use the floating-point unit; those that may round as frm says. */
const floats: readonly boolean[] = instructions.map(({ format }) => Object.values(formats[format].files).includes('f'));
const rounds: readonly boolean[] = instructions.map(({ format }) => formats[format].syntax.includes('rm'));

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
