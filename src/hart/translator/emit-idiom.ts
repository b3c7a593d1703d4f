/**
 * Many turns of a loop that copies or fills memory (idiom.ts), done at once: emitted where the loop
 * goes back to its header. As many as surely follow, as lie in one page of each side, less one, and
 * only if what they need holds; else nothing is done, and the loop goes on as it is.
 *
 * The turn that is left is executed as it is. It can neither trap nor leave the region before its
 * end, so that registers which a turn writes before it reads them need not be right when it begins.
 */
import { I32, I64, i32, i64, select, type ExprI32, type ExprI64, type Local } from '../../wasm/expr.js';
import type { Label } from '../../wasm/function.js';
import { tlbEntry } from '../tlb-entry.js';
import { TLB_ADDEND, TLB_READ_TAG, TLB_WRITE_TAG } from '../tlb.js';
import type { Address, Idiom, Source, Test } from './idiom.js';
import type { RegionContext } from './region-context.js';

/** Instructions that must be saved: what is done to do them at once costs as much as about half as many. */
const WORTH = 48;
const PAGE = 4096;

export function emitIdiom(c: RegionContext, idiom: Idiom): void {
  c.f.scope(() => new IdiomEmitter(c, idiom).emit());
}

class IdiomEmitter {
  constructor(
    private readonly c: RegionContext,
    private readonly idiom: Idiom,
  ) {}

  emit(): void {
    const { c, idiom } = this;
    const { f } = c;
    const { from, stride, steps, test } = idiom;
    const least = Math.max(2, Math.ceil(WORTH / steps));
    const gap = f.local(I64, i64.sub(this.#at(test.high), this.#at(test.low)));
    // First of all what tells the loops that are short.
    f.if(i64.geU(gap, i64.const((least + 1) * test.closing)), () =>
      f.block((refused) => {
        this.#refuseBeyond(test, refused);
        this.#refuseUnlikeSums(refused);
        const turns = f.local(I32, this.#turnsOf(gap, test.closing));
        const va = f.local(I64, this.#at(idiom.to));
        this.#limit(turns, i32.divU(bytesLeft(va), i32.const(stride)));
        if ('register' in from) {
          this.#leaveOne(turns, least, refused);
          const to = this.#lookUp(va, TLB_WRITE_TAG, refused);
          f.call(c.core.fillBytes, to, this.#pattern(from), this.#times(turns, stride));
        } else this.#copy(from, va, turns, least, refused);
        this.#finish(turns);
      }),
    );
  }

  #copy(from: Source, toVa: ExprI64, turns: Local<typeof I32>, least: number, refused: Label): void {
    const { c, idiom } = this;
    const { f } = c;
    const { stride } = idiom;
    const beyond = from.span - stride;
    const va = f.local(I64, this.#at({ base: from.base, distance: from.low }));
    this.#limit(turns, i32.divS(i32.sub(bytesLeft(va), i32.const(beyond)), i32.const(stride)));
    this.#leaveOne(turns, least, refused);
    const to = this.#lookUp(toVa, TLB_WRITE_TAG, refused);
    // Host offset of the lowest byte that a turn needs.
    const low = this.#lookUp(va, TLB_READ_TAG, refused);
    const bytes = f.local(I32, this.#times(turns, stride));
    f.brIf(refused, i32.ltU(i32.sub(to, low), i32.add(bytes, i32.const(beyond))));
    f.brIf(refused, i32.ltU(i32.sub(low, to), bytes));
    const skew = from.shifts === undefined ? i32.const(0) : this.#skew(from.shifts, refused);
    this.#refuseUnlikeLoads(from, low, refused);
    f.call(c.core.copyBytes, to, i32.add(i32.add(low, i32.const(from.distance - from.low)), skew), bytes);
    const next = f.local(I32, i32.add(low, bytes));
    for (const { step, distance } of idiom.carried) {
      if (step !== undefined) c.loadFrom(step, { host: next, distance: distance - from.low });
    }
  }

  /** Registers that begin a turn as a sum must do so now. */
  #refuseUnlikeSums(refused: Label): void {
    const { c, idiom } = this;
    for (const { register, step, base, distance } of idiom.carried) {
      if (step === undefined) c.f.brIf(refused, i64.ne(c.readX(register), this.#at({ base, distance })));
    }
  }

  /** Registers that begin a turn with what the one before has loaded must hold that now. */
  #refuseUnlikeLoads({ low: lowest }: Source, low: ExprI32, refused: Label): void {
    const { c, idiom } = this;
    const { f } = c;
    for (const { register, step, distance } of idiom.carried) {
      if (step === undefined) continue;
      const held = f.local(I64, c.readX(register));
      c.loadFrom(step, { host: low, distance: distance - lowest });
      f.if(i64.ne(held, c.readX(register)), () => {
        c.writeX(register, held);
        f.br(refused);
      });
    }
  }

  /** How many bytes further than the first of its two words a word lies that is put together from both. */
  #skew({ right, left }: { readonly right: number; readonly left: number }, refused: Label): ExprI32 {
    const { c } = this;
    const bits = c.f.local(I32, i32.and(i32.wrap(c.readX(right)), i32.const(63)));
    const other = i32.wrap(c.readX(left));
    // Not by whole bytes, or not by 64 bits together: that is no word of memory.
    c.f.brIf(refused, i32.or(i32.and(bits, i32.const(7)), i32.and(i32.add(bits, other), i32.const(63))));
    c.f.brIf(refused, i32.eqz(bits));
    return i32.shrU(bits, i32.const(3));
  }

  /** Registers and the budget after `turns` turns; what was loaded is there already. */
  #finish(turns: ExprI32): void {
    const { c, idiom } = this;
    const { f } = c;
    for (const { register, by } of idiom.moving) {
      c.writeX(register, i64.add(c.readX(register), i64.extendS(this.#times(turns, by))));
    }
    for (const { register, step, base, distance } of idiom.carried) {
      if (step === undefined) c.writeX(register, this.#at({ base, distance }));
    }
    f.set(c.budget, i32.sub(c.budget, this.#times(turns, idiom.steps)));
  }

  #leaveOne(turns: Local<typeof I32>, least: number, refused: Label): void {
    const { f } = this.c;
    f.set(turns, i32.sub(turns, i32.const(1)));
    f.brIf(refused, i32.ltS(turns, i32.const(least)));
  }

  #at({ base, distance }: Address): ExprI64 {
    return i64.add(this.c.readX(base), i64.const(distance));
  }

  #times(turns: ExprI32, by: number): ExprI32 {
    return i32.mul(turns, i32.const(by));
  }

  #limit(turns: Local<typeof I32>, most: ExprI32): void {
    const { f } = this.c;
    const limit = f.local(I32, most);
    f.set(turns, select(i32.ltS(turns, limit), turns, limit));
  }

  #refuseBeyond({ relation, low, high }: Test, refused: Label): void {
    if (relation === 'ne') return;
    const greater = relation === 'signed' ? i64.gtS : i64.gtU;
    this.c.f.brIf(refused, greater(this.#at(low), this.#at(high)));
  }

  /** Turns that surely follow, PAGE at most. */
  #turnsOf(gap: ExprI64, closing: number): ExprI32 {
    const most = PAGE * closing;
    const near = select(i64.gtU(gap, i64.const(most)), i32.const(most), i32.wrap(gap));
    return i32.divU(near, i32.const(closing));
  }

  /** Host offset of an address whose entry in the data TLB has that tag. */
  #lookUp(va: ExprI64, tag: number, refused: Label): ExprI32 {
    const { c } = this;
    const { f } = c;
    const entry = f.local(I32, tlbEntry(c.tlb(), va));
    f.brIf(refused, i64.ne(i64.load(entry, tag), i64.and(va, i64.const(-PAGE))));
    return f.local(I32, i32.add(i32.wrap(va), i32.load(entry, TLB_ADDEND)));
  }

  /** The 8 bytes that a fill repeats. */
  #pattern({ register, size }: { readonly register: number; readonly size: number }): ExprI64 {
    const value = this.c.readX(register);
    if (size === 8) return value;
    const one = i64.and(value, i64.const(2 ** (8 * size) - 1));
    const repeat = size === 4 ? 0x1 : size === 2 ? 0x10001 : 0x1010101;
    return i64.mul(one, i64.pair(repeat, size === 4 ? 1 : repeat));
  }
}

/** From an address to the end of its page. */
const bytesLeft = (va: ExprI64): ExprI32 => i32.sub(i32.const(PAGE), i32.and(i32.wrap(va), i32.const(PAGE - 1)));
