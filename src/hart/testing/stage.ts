/**
 * A bare hart set up for the privileged architecture: code of each privilege, a trap handler
 * that ends the run, data pages, and page tables that map what the hart needs to get there.
 *
 *   0x8000_0000  supervisor code          mapped at its physical address
 *   0x8000_1000  trap handler (`ecall`)   mapped at its physical address
 *   0x8000_2000  user code                mapped at USER_CODE
 *   0x8010_0000  page tables
 *   0x8020_0000  data, as the test maps it
 */
import { assemble, encode } from '../isa/assembler.js';
import { EXIT_SBI } from '../exits.js';
import * as S from '../state.js';
import { BareHart, type BareDevices } from './bare-hart.js';
import { A, D, PageTables, R, U, V, W, X } from './sv39.js';

export const CODE = 0x8000_0000n;
export const HANDLER = 0x8000_1000n;
export const USER_CODE_AT = 0x8000_2000n;
export const USER_CODE = 0x4000_0000n;
export const TABLES = 0x8010_0000n;
export const DATA = 0x8020_0000n;

/** The bits of `li`, which is `addi`. */
export const li = (rd: number, imm: number): bigint => BigInt(encode('addi', { rd, imm }) >>> 0);

/** How a run ended: by an `ecall` in supervisor mode where it should, or by a trap. */
export type End =
  | { readonly at: bigint }
  | { readonly cause: bigint; readonly epc: bigint; readonly tval: bigint }
  | { readonly reason: number; readonly at: bigint };

export class Stage {
  readonly hart: BareHart;
  readonly tables: PageTables;

  constructor(devices: BareDevices = {}, engine?: string) {
    this.hart = new BareHart(undefined, 0, devices, engine);
    this.hart.load(HANDLER, assemble('ecall', HANDLER).code);
    this.tables = new PageTables(this.hart, TABLES);
    this.tables.map(CODE, CODE, V | R | X | A | D);
    this.tables.map(HANDLER, HANDLER, V | R | X | A | D);
    this.tables.map(USER_CODE, USER_CODE_AT, V | R | W | X | U | A | D);
    this.hart.set(S.STVEC, HANDLER);
  }

  /** Puts code where the privilege has its own; returns its address there and its labels. */
  code(source: string, mode: 'U' | 'S' = 'S', symbols: Readonly<Record<string, bigint>> = {}): Map<string, bigint> {
    const [at, physical] = mode === 'S' ? [CODE, CODE] : [USER_CODE, USER_CODE_AT];
    const { code, labels } = assemble(source, at, { DATA, CODE, HANDLER, USER_CODE, ...symbols });
    this.hart.load(physical, code);
    return new Map(labels);
  }

  /** Runs from `pc` in `mode` until the hart exits. */
  run(pc: bigint, mode: 'U' | 'S' = 'S', budget = 100_000): End {
    const { hart } = this;
    hart.privilege = mode;
    hart.pc = pc;
    const reason = hart.run(budget);
    if (reason !== EXIT_SBI) return { reason, at: hart.pc };
    if (hart.pc !== BigInt.asUintN(64, hart.get(S.STVEC))) return { at: hart.pc };
    return { cause: hart.get(S.SCAUSE), epc: unsigned(hart.get(S.SEPC)), tval: unsigned(hart.get(S.STVAL)) };
  }

  /** Assembles and runs `source`. */
  execute(source: string, mode: 'U' | 'S' = 'S', symbols: Readonly<Record<string, bigint>> = {}): End {
    this.code(source, mode, symbols);
    return this.run(mode === 'S' ? CODE : USER_CODE, mode);
  }
}

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
