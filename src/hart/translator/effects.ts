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

/** Decoded instructions are shared between all places with the same encoding. */
const known = new WeakMap<Decoded, Effects>();

export function effectsOf(decoded: Decoded): Effects {
  let effects = known.get(decoded);
  if (effects === undefined) {
    effects = findEffects(decoded);
    known.set(decoded, effects);
  }
  return effects;
}

function findEffects({ index, operands }: Decoded): Effects {
  const reads: Masks = { x: 0, f: 0 };
  const writes: Masks = { x: 0, f: 0 };
  if (index >= 0) {
    const format = formats[instructions[index].format];
    for (const operand of format.syntax) {
      switch (operand) {
        case 'rd':
          writes[format.files.rd] |= 1 << operands.rd;
          break;
        case 'rs1':
        case 'offset':
        case 'base':
          reads[format.files.rs1] |= 1 << operands.rs1;
          break;
        case 'rs2':
          reads[format.files.rs2] |= 1 << operands.rs2;
          break;
        case 'rs3':
          reads.f |= 1 << operands.imm;
          break;
      }
    }
    reads.x &= ~1;
    writes.x &= ~1;
  }
  return { reads, writes };
}

const DYNAMIC = 7;

/** What the instructions of a region need of the floating-point unit. */
export function floatGuard(nodes: readonly Node[]): FloatGuard {
  let uses = false;
  let dynamicRounding = false;
  for (const node of nodes) {
    for (const { decoded } of node.steps) {
      const { files, syntax } = formats[instructions[decoded.index].format];
      if (files.rd === 'x' && files.rs1 === 'x' && files.rs2 === 'x') continue;
      uses = true;
      if (syntax.includes('rm') && decoded.operands.rm === DYNAMIC) dynamicRounding = true;
    }
  }
  return { uses, dynamicRounding };
}
