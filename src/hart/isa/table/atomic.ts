/**
 * A: load-reserved, store-conditional and atomic memory operations (unprivileged
 * specification 13), as WebAssembly's sequentially consistent atomics, which are at
 * least as strong as any aq/rl.
 */
import { I32, I64, call, i32, i64, select, type ExprI32, type ExprI64 } from '../../../wasm/expr.js';
import type { Context, Width } from '../../context.js';
import { RESERVATION, RESERVED_VALUE } from '../../state.js';
import { ACCESS_READ, ACCESS_WRITE } from '../../tlb.js';
import { instruction, type Instruction } from './instruction.js';

const AMO = 0x2f;

/** Host offset of a naturally aligned access, or a trap. */
function hostOf(c: Context, width: Width, access: number): ExprI32 {
  const host = c.f.local(I32);
  c.mayTrap((pc) => {
    c.f.set(host, call(c.core.atomicHost, c.h, pc, c.rs1(), i32.const(width), i32.const(access)));
    return i32.eq(host, i32.const(-1));
  });
  return host;
}

function pair(name: string, funct5: number, op: (c: Context, width: Width) => void): Instruction[] {
  const format = funct5 === 2 ? 'loadReserved' : 'atomic';
  return ([2, 3] as const).map((width) =>
    instruction(`${name}.${width === 2 ? 'w' : 'd'}`, format, AMO, width, funct5 << 27, (c) => op(c, width)),
  );
}

type Atomic<T> = (address: ExprI32, value: T) => T;

const amo = (name: string, funct5: number, word: Atomic<ExprI32>, double: Atomic<ExprI64>): Instruction[] =>
  pair(name, funct5, (c, width) => {
    const host = hostOf(c, width, ACCESS_WRITE);
    c.rd(c.f.local(I64, width === 2 ? i64.extendS(word(host, i32.wrap(c.rs2()))) : double(host, c.rs2())));
  });

/** Minimum and maximum: compare and exchange until nobody came between. */
const extreme = (
  name: string,
  funct5: number,
  word: (a: ExprI32, b: ExprI32) => ExprI32,
  double: (a: ExprI64, b: ExprI64) => ExprI32,
): Instruction[] =>
  pair(name, funct5, (c, width) => {
    const { f } = c;
    const host = hostOf(c, width, ACCESS_WRITE);
    if (width === 2) {
      const operand = f.local(I32, i32.wrap(c.rs2()));
      const old = f.local(I32, i32.atomicLoad(host));
      const seen = f.local(I32);
      f.loop((again) => {
        f.set(seen, i32.atomicCompareExchange(host, old, select(word(old, operand), old, operand)));
        f.if(i32.ne(seen, old), () => {
          f.set(old, seen);
          f.br(again);
        });
      });
      c.rd(i64.extendS(old));
    } else {
      const operand = f.local(I64, c.rs2());
      const old = f.local(I64, i64.atomicLoad(host));
      const seen = f.local(I64);
      f.loop((again) => {
        f.set(seen, i64.atomicCompareExchange(host, old, select(double(old, operand), old, operand)));
        f.if(i64.ne(seen, old), () => {
          f.set(old, seen);
          f.br(again);
        });
      });
      c.rd(old);
    }
  });

/** What RESERVATION holds for a place: host offsets of words are even, so that bit 0 can tell the size. */
const reservation = (host: ExprI32, width: Width): ExprI32 => (width === 2 ? host : i32.or(host, i32.const(1)));

function loadReserved(c: Context, width: Width): void {
  const { f } = c;
  const host = hostOf(c, width, ACCESS_READ);
  const value = f.local(I64, width === 2 ? i64.extendS(i32.atomicLoad(host)) : i64.atomicLoad(host));
  f.store32(c.h, reservation(host, width), RESERVATION);
  f.store64(c.h, value, RESERVED_VALUE);
  c.rd(value);
}

/** Succeeds if the reserved place, of the same size, still holds the value that was loaded, as QEMU does (docs/hart.md). */
function storeConditional(c: Context, width: Width): void {
  const { f } = c;
  const host = hostOf(c, width, ACCESS_WRITE);
  const failed = f.local(I32, i32.const(1));
  f.if(i32.eq(reservation(host, width), i32.load(c.h, RESERVATION)), () => {
    const expected = i64.load(c.h, RESERVED_VALUE);
    f.set(
      failed,
      width === 2
        ? i32.ne(i32.atomicCompareExchange(host, i32.wrap(expected), i32.wrap(c.rs2())), i32.wrap(expected))
        : i64.ne(i64.atomicCompareExchange(host, expected, c.rs2()), expected),
    );
  });
  f.store32(c.h, i32.const(-1), RESERVATION);
  c.rd(i64.extendU(failed));
}

export const atomic: readonly Instruction[] = [
  ...pair('lr', 0x02, loadReserved),
  ...pair('sc', 0x03, storeConditional),
  ...amo('amoswap', 0x01, i32.atomicExchange, i64.atomicExchange),
  ...amo('amoadd', 0x00, i32.atomicAdd, i64.atomicAdd),
  ...amo('amoxor', 0x04, i32.atomicXor, i64.atomicXor),
  ...amo('amoand', 0x0c, i32.atomicAnd, i64.atomicAnd),
  ...amo('amoor', 0x08, i32.atomicOr, i64.atomicOr),
  ...extreme('amomin', 0x10, i32.ltS, i64.ltS),
  ...extreme('amomax', 0x14, i32.gtS, i64.gtS),
  ...extreme('amominu', 0x18, i32.ltU, i64.ltU),
  ...extreme('amomaxu', 0x1c, i32.gtU, i64.gtU),
];
