/**
 * Control and status registers (Zicsr; privileged specification 2.2 and 12.1): which
 * exist, who may touch them, what reads give and writes do.
 */
import { I32, I64, call, choose, i32, i64, type Callable, type ExprI32, type ExprI64 } from '../../wasm/expr.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import { CAUSE_ILLEGAL } from '../isa/causes.js';
import { CSR } from '../isa/csr-numbers.js';
import {
  EXIT_A,
  FFLAGS,
  FRM,
  INSTRET,
  PRIVILEGE,
  SATP,
  SCAUSE,
  SCOUNTEREN,
  SENVCFG,
  SEIP,
  SEPC,
  SIE,
  SIP,
  SSCRATCH,
  SSIP,
  SSTATUS,
  STIMECMP,
  STIP,
  STVAL,
  STVEC,
} from '../state.js';
import type { Imports } from './imports.js';
import type { MmuFunctions } from './mmu.js';
import { asidOf } from './spaces.js';
import { SSTATUS_FS, SSTATUS_MXR, SSTATUS_WRITABLE } from './sstatus.js';
import type { TrapFunctions } from './traps.js';

export const CSR_WRITE = 0;
export const CSR_SET = 1;
export const CSR_CLEAR = 2;

/** senvcfg.CBZE: user mode may use cbo.zero. */
export const ENVCFG_CBZE = 1 << 7;

interface Access {
  readonly read: () => ExprI64;
  /** Absent: writes are ignored. Read-only CSRs, by their number, trap before this. */
  readonly write?: (value: ExprI64) => void;
  /** Instead of both, of a register with bits that other threads write: changes it in one step; the value before. */
  readonly exchange?: () => ExprI64;
}

interface Parts {
  readonly imports: Imports;
  readonly mmu: MmuFunctions;
  readonly traps: TrapFunctions;
}

/** (h, pc, bits, operation, source, writes, uncounted): see `CoreFunctions.csr`. */
export function buildCsr(module: ModuleBuilder, { imports, mmu, traps }: Parts): Callable<typeof I32> {
  const f = module.function([I32, I64, I32, I32, I64, I32, I32], I32, 'csr');
  const h = f.param(I32, 0);
  const pc = f.param(I64, 1);
  const bits = f.param(I32, 2);
  const operation = f.param(I32, 3);
  const source = f.param(I64, 4);
  const writes = f.param(I32, 5);
  const retired = i64.add(i64.load(h, INSTRET), i64.extendU(f.param(I32, 6)));
  const number = f.local(I32, i32.shrU(bits, i32.const(20)));

  const illegal = (): void => {
    f.call(traps.trap, h, pc, i64.const(CAUSE_ILLEGAL), i64.extendU(bits));
    f.return(i32.const(1));
  };
  const inUser = i32.eqz(i32.load(h, PRIVILEGE));
  const needsFloat = (): void => f.if(i32.eqz(i32.and(i32.load(h, SSTATUS), i32.const(SSTATUS_FS))), illegal);

  /** A register that keeps what `mask` lets through. */
  const plain = (at: number, mask: ExprI64): Access => ({
    read: () => i64.load(h, at),
    write: (value) => f.store64(h, i64.and(value, mask), at),
  });
  const all = i64.const(-1);
  const instructionAddress = i64.const(-2);
  const word = (value: ExprI64, mask: number): ExprI32 => i32.and(i32.wrap(value), i32.const(mask));
  const pending = (): ExprI32 => i32.add(h, i32.const(SIP));

  /** User mode sees a counter only if scounteren says so. */
  const counter = (bit: number, value: () => ExprI64): Access => ({
    read: () => {
      const hidden = i32.eqz(i32.and(i32.load(h, SCOUNTEREN), i32.const(1 << bit)));
      f.if(i32.and(inUser, hidden), illegal);
      return value();
    },
  });

  const registers: Record<keyof typeof CSR, Access> = {
    sstatus: {
      // UXL is 2 (64 bits); SD sums up FS, which is kept off or dirty only.
      read: () => {
        const low = f.local(I64, i64.load(h, SSTATUS));
        const dirty = choose(word(low, SSTATUS_FS), i64.pair(-0x80000000, 0), i64.const(0));
        return i64.or(i64.or(low, i64.pair(2, 0)), dirty);
      },
      write: (value) => {
        const old = f.local(I32, i32.load(h, SSTATUS));
        const next = f.local(I32, word(value, SSTATUS_WRITABLE));
        f.if(i32.and(next, i32.const(SSTATUS_FS)), () => f.set(next, i32.or(next, i32.const(SSTATUS_FS))));
        f.store32(h, next, SSTATUS);
        f.if(i32.and(i32.xor(old, next), i32.const(SSTATUS_MXR)), () => f.call(mmu.flush, h));
        f.call(traps.selectMode, h);
      },
    },
    sie: plain(SIE, i64.const(SSIP | STIP | SEIP)),
    sip: {
      read: () => i64.extendU(i32.atomicLoad(pending())),
      // Only the software interrupt is for the guest to set and clear; an instruction that names other bits leaves it alone.
      exchange: () => {
        const named = f.local(I32, word(source, SSIP));
        const sets = i32.and(i32.ne(operation, i32.const(CSR_CLEAR)), i32.ne(named, i32.const(0)));
        const unnamed = i32.xor(named, i32.const(SSIP));
        const cleared = choose(
          i32.eq(operation, i32.const(CSR_WRITE)),
          unnamed,
          choose(i32.eq(operation, i32.const(CSR_CLEAR)), named, i32.const(0)),
        );
        const before = f.local(I32);
        f.if(
          sets,
          () => f.set(before, i32.atomicOr(pending(), i32.const(SSIP))),
          () => f.set(before, i32.atomicAnd(pending(), i32.xor(cleared, i32.const(-1)))),
        );
        return i64.extendU(before);
      },
    },
    // Mode 0 and 1 exist.
    stvec: plain(STVEC, i64.const(-3)),
    scounteren: plain(SCOUNTEREN, i64.const(7)),
    senvcfg: plain(SENVCFG, i64.const(1 | ENVCFG_CBZE)),
    sscratch: plain(SSCRATCH, all),
    sepc: plain(SEPC, instructionAddress),
    scause: plain(SCAUSE, all),
    stval: plain(STVAL, all),
    stimecmp: {
      read: () => i64.load(h, STIMECMP),
      write: (value) => {
        f.store64(h, value, STIMECMP);
        f.call(imports.timer, h);
      },
    },
    satp: {
      read: () => i64.load(h, SATP),
      // Bare and Sv39 exist; a write of another mode has no effect at all (12.1.11).
      write: (value) => {
        const mode = f.local(I64, i64.shrU(value, i64.const(60)));
        f.if(i32.or(i64.eqz(mode), i64.eq(mode, i64.const(8))), () => {
          const changed = f.local(I64, i64.xor(value, i64.load(h, SATP)));
          f.store64(h, value, SATP);
          const otherSpace = i32.and(i64.eqz(i64.shrU(changed, i64.const(60))), asidOf(changed));
          f.if(
            otherSpace,
            () => f.call(mmu.switchSpace, h, asidOf(value)),
            () => f.call(mmu.flush, h),
          );
        });
      },
    },
    fflags: {
      read: () => {
        needsFloat();
        return i64.load32U(h, FFLAGS);
      },
      write: (value) => f.store32(h, word(value, 31), FFLAGS),
    },
    frm: {
      read: () => {
        needsFloat();
        return i64.load32U(h, FRM);
      },
      write: (value) => f.store32(h, word(value, 7), FRM),
    },
    fcsr: {
      read: () => {
        needsFloat();
        return i64.or(i64.shl(i64.load32U(h, FRM), i64.const(5)), i64.load32U(h, FFLAGS));
      },
      write: (value) => {
        f.store32(h, word(value, 31), FFLAGS);
        f.store32(h, i32.and(i32.shrU(i32.wrap(value), i32.const(5)), i32.const(7)), FRM);
      },
    },
    cycle: counter(0, () => retired),
    time: counter(1, () => i64.truncSatF64U(call(imports.time))),
    instret: counter(2, () => retired),
  };

  // Bits 9:8 of a number are the lowest privilege that may use it; bits 11:10 both set mean read-only.
  f.if(i32.gtU(i32.and(i32.shrU(number, i32.const(8)), i32.const(3)), i32.load(h, PRIVILEGE)), illegal);
  f.if(i32.and(writes, i32.eq(i32.shrU(number, i32.const(10)), i32.const(3))), illegal);

  const old = f.local(I64);
  const next = f.local(I64);
  for (const [name, { read, write, exchange }] of Object.entries(registers)) {
    f.if(i32.eq(number, i32.const(CSR[name as keyof typeof CSR])), () => {
      f.scope(() => {
        if (exchange === undefined) f.set(old, read());
        else
          f.if(
            writes,
            () => f.set(old, exchange()),
            () => f.set(old, read()),
          );
        if (write !== undefined) {
          f.if(writes, () => {
            f.set(
              next,
              choose(
                i32.eq(operation, i32.const(CSR_WRITE)),
                source,
                choose(
                  i32.eq(operation, i32.const(CSR_SET)),
                  i64.or(old, source),
                  i64.and(old, i64.xor(source, i64.const(-1))),
                ),
              ),
            );
            write(next);
          });
        }
        f.store64(h, old, EXIT_A);
        f.return(i32.const(0));
      });
    });
  }
  illegal();
  f.return(i32.const(1));
  return f;
}
