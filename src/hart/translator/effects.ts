/** Which registers an instruction reads and writes, as bit masks, from its format. */
import type { Decoded } from '../decoder.js';
import { formats } from '../table/format.js';
import { instructions } from '../table/index.js';

/** One bit per register; x0 is never set. */
export interface Masks {
  x: number;
  f: number;
}

export interface Effects {
  readonly reads: Masks;
  readonly writes: Masks;
}

export function effectsOf({ index, operands }: Decoded): Effects {
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
