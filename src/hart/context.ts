import type { ExprI32, ExprI64, I32, Local } from '../wasm/expr.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { CoreFunctions } from './core/functions.js';
import type { FloatOperations } from './float/operations.js';

/** Sizes of an access, as log2 of the bytes. */
export type Width = 0 | 1 | 2 | 3;

/** A place in shared memory: `distance` bytes, not negative, behind a byte offset. */
export interface HostPlace {
  readonly host: ExprI32;
  readonly distance: number;
}

/**
 * Where the operands of an instruction live, and how it ends: what an instruction's
 * meaning is written against. The interpreter's context reads operands out of the
 * predecoded slot and the hart's state; the translator's knows them as constants and
 * keeps registers in locals.
 *
 * An operand is an expression: used twice it is evaluated twice, so a meaning that
 * needs a source after writing `rd`, or more than once, takes it into a local.
 */
export interface Context {
  readonly f: FunctionBuilder;
  /** Byte offset of the hart block. */
  readonly h: ExprI32;
  readonly core: CoreFunctions;

  /** Source registers, whole. */
  rs1(): ExprI64;
  rs2(): ExprI64;
  /** True if the source register field names x0 (a run-time value in the interpreter). */
  rs1IsX0(): ExprI32;
  rs2IsX0(): ExprI32;
  /** The 5-bit rs1 field itself, zero-extended (CSR immediates). */
  rs1Field(): ExprI64;
  /** Writes the integer destination. Where that is x0 the value may never be evaluated: what has effects goes into a local before. */
  rd(value: ExprI64): void;
  /** The immediate, sign-extended. */
  imm(): ExprI64;
  /** The immediate's 32 bits. */
  imm32(): ExprI32;

  /** Traps as an illegal instruction while sstatus.FS is off. */
  requireFloat(): void;
  /** Floating-point registers, raw bits. */
  fs1(): ExprI64;
  fs2(): ExprI64;
  fs3(): ExprI64;
  fd(value: ExprI64): void;
  /** The single in source register 1, 2 or 3; the canonical NaN where none is boxed. */
  single(source: 1 | 2 | 3): ExprI32;
  /** Writes a single, boxed. */
  fdSingle(bits: ExprI32): void;
  readonly floats: FloatOperations;
  /** The 3-bit rounding mode field. */
  rmField(): ExprI32;

  /** Of an instruction that reads a counter: instructions retired before it that INSTRET does not count yet. */
  uncounted(): ExprI32;

  /** Address of this instruction and of the next one. */
  pc(): ExprI64;
  nextPc(): ExprI64;

  /** Jump to pc + imm; the same under a condition. */
  jumpRelative(): void;
  branchIf(cond: ExprI32): void;
  /** Jump to an address known only at run time. */
  jumpTo(target: ExprI64): void;

  /**
   * Runs a core function that may trap. The hart's state is made precise first; `status`
   * non-zero means that the trap has been taken and the engine must go on at the hart's pc.
   */
  mayTrap(status: (pc: ExprI64) => ExprI32): void;
  /**
   * Sets `host` to the place of an access that the TLB does not know, as a core function finds it: 0 means that a trap
   * has been taken. `behind` is what the function keeps in UNCOUNTED then.
   */
  findPlace(host: Local<typeof I32>, place: (pc: ExprI64, behind: number) => ExprI32): void;
  /** Takes a synchronous trap (privileged specification 12.1.8). */
  trap(cause: number, tval: ExprI64): void;
  /** Ends the instruction; the engine goes on at `pc` after looking at the hart's state afresh. */
  resumeAt(pc: ExprI64): void;
  /** Leaves the run loop with an EXIT_* reason; `pc` is where the hart goes on. */
  exit(reason: number, pc: ExprI64): void;

  /** The data TLB of the present translation mode: absolute byte offset. */
  tlb(): ExprI32;
  /** Where this instruction's access goes, if the engine has made sure that it lies in memory and is allowed. */
  reached(): HostPlace | undefined;
}
