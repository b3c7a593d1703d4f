/**
 * The hart's floating point (the F and D extensions) as WebAssembly functions.
 *
 * Every function takes `h`, the byte offset of the hart block, first, raw bits of
 * its operands (singles as i32, already unboxed; doubles as i64), and, where the
 * instruction has one, the rounding mode 0 … 4 last. It leaves raw bits and accrues
 * flags in the hart's FFLAGS. docs/floating-point.md says how.
 */
import type { ModuleBuilder } from '../../wasm/module.js';
import { buildFastFunctions } from './fast/functions.js';
import type { SoftFloat } from './soft/index.js';
import { buildSoftFloat } from './soft/index.js';

export { double, single } from './fast/host.js';
export type { Arithmetic } from './fast/inline.js';
export { InlineFloat } from './fast/inline.js';
export type { IntegerType } from './soft/convert.js';
export type { FormatFunctions } from './soft/index.js';

/** The functions of both formats and the conversions between them. */
export type FloatFunctions = SoftFloat;

/** Adds the floating-point functions to a module. */
export function buildFloat(module: ModuleBuilder): FloatFunctions {
  return buildFastFunctions(module, buildSoftFloat(module));
}
