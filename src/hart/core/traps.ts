import { I32, I64, i32, i64, select, type Callable } from '../../wasm/expr.js';
import type { ModuleBuilder } from '../../wasm/module.js';
import { INTERRUPT_EXTERNAL, INTERRUPT_SOFTWARE, INTERRUPT_TIMER } from '../isa/causes.js';
import {
  INSTRET,
  PC,
  PRIVILEGE,
  SCAUSE,
  SEIP,
  SEPC,
  SIE,
  SIP,
  SSIP,
  SSTATUS,
  STVAL,
  STVEC,
  TLB_BASE,
} from '../state.js';
import { MODE_SUPERVISOR, TLB_SIZE, TLB_START } from '../tlb.js';
import { SSTATUS_SIE, SSTATUS_SPIE, SSTATUS_SPP, SSTATUS_SUM } from './sstatus.js';

export interface TrapFunctions {
  readonly trap: Callable<undefined>;
  /** (h, pc): the instruction at pc has done nothing, and is begun again: what `trap` does, without a trap. */
  readonly again: Callable<undefined>;
  readonly sret: Callable<typeof I64>;
  /** (h): selects the data TLB of privilege and SUM. */
  readonly selectMode: Callable<undefined>;
  /** (h): takes the interrupt that is due, if any is enabled. */
  readonly takeInterrupt: Callable<undefined>;
}

/** Trap entry, return and interrupts. Everything is handled in supervisor mode: the VMM stands where machine mode would. */
export function buildTraps(module: ModuleBuilder): TrapFunctions {
  const selectMode = buildSelectMode(module);
  const trap = buildTrap(module, selectMode);
  return {
    selectMode,
    trap,
    again: buildAgain(module),
    sret: buildSret(module, selectMode),
    takeInterrupt: buildTakeInterrupt(module, trap),
  };
}

function buildSelectMode(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32], undefined, 'selectMode');
  const h = f.param(I32, 0);
  const sum = i32.and(i32.shrU(i32.load(h, SSTATUS), i32.const(Math.log2(SSTATUS_SUM))), i32.const(1));
  const mode = select(i32.load(h, PRIVILEGE), i32.add(i32.const(MODE_SUPERVISOR), sum), i32.const(0));
  f.store32(h, i32.add(i32.mul(mode, i32.const(TLB_SIZE)), i32.const(TLB_START)), TLB_BASE);
  return f;
}

/** Privileged specification 12.1.1 (sstatus), 12.1.2 (stvec), 12.1.7 to 12.1.9 (sepc, scause, stval). */
function buildTrap(module: ModuleBuilder, selectMode: Callable<undefined>): Callable<undefined> {
  const f = module.function([I32, I64, I64, I64], undefined, 'trap');
  const h = f.param(I32, 0);
  const cause = f.param(I64, 2);
  f.store64(h, f.param(I64, 1), SEPC);
  f.store64(h, cause, SCAUSE);
  f.store64(h, f.param(I64, 3), STVAL);
  // An instruction that causes an exception does not retire, but the engines count it as one.
  f.if(i64.geS(cause, i64.const(0)), () => f.store64(h, i64.sub(i64.load(h, INSTRET), i64.const(1)), INSTRET));

  const status = f.local(I32, i32.load(h, SSTATUS));
  const previous = i32.shl(i32.load(h, PRIVILEGE), i32.const(Math.log2(SSTATUS_SPP)));
  const spie = i32.shl(i32.and(status, i32.const(SSTATUS_SIE)), i32.const(4));
  const kept = i32.and(status, i32.const(~(SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SIE)));
  f.store32(h, i32.or(i32.or(kept, previous), spie), SSTATUS);
  f.store32(h, i32.const(1), PRIVILEGE);
  f.call(selectMode, h);

  const stvec = f.local(I64, i64.load(h, STVEC));
  const base = f.local(I64, i64.and(stvec, i64.const(-4)));
  f.if(i32.and(i32.and(i32.wrap(stvec), i32.const(1)), i64.ltS(cause, i64.const(0))), () =>
    f.set(base, i64.add(base, i64.shl(i64.and(cause, i64.const(63)), i64.const(2)))),
  );
  f.store64(h, base, PC);
  return f;
}

function buildAgain(module: ModuleBuilder): Callable<undefined> {
  const f = module.function([I32, I64], undefined, 'again');
  const h = f.param(I32, 0);
  f.store64(h, f.param(I64, 1), PC);
  // It has been counted, and will be again.
  f.store64(h, i64.sub(i64.load(h, INSTRET), i64.const(1)), INSTRET);
  return f;
}

function buildSret(module: ModuleBuilder, selectMode: Callable<undefined>): Callable<typeof I64> {
  const f = module.function([I32], I64, 'sret');
  const h = f.param(I32, 0);
  const status = f.local(I32, i32.load(h, SSTATUS));
  f.store32(h, i32.and(i32.shrU(status, i32.const(Math.log2(SSTATUS_SPP))), i32.const(1)), PRIVILEGE);
  const sie = i32.and(i32.shrU(status, i32.const(4)), i32.const(SSTATUS_SIE));
  const kept = i32.and(status, i32.const(~(SSTATUS_SPP | SSTATUS_SIE)));
  f.store32(h, i32.or(i32.or(kept, sie), i32.const(SSTATUS_SPIE)), SSTATUS);
  f.call(selectMode, h);
  f.return(i64.load(h, SEPC));
  return f;
}

/** Priority external, software, timer (privileged specification 12.1.3). */
function buildTakeInterrupt(module: ModuleBuilder, trap: Callable<undefined>): Callable<undefined> {
  const f = module.function([I32], undefined, 'takeInterrupt');
  const h = f.param(I32, 0);
  const disabled = i32.and(i32.load(h, PRIVILEGE), i32.eqz(i32.and(i32.load(h, SSTATUS), i32.const(SSTATUS_SIE))));
  f.if(disabled, () => f.return());
  const due = f.local(I32, i32.and(i32.atomicLoad(i32.add(h, i32.const(SIP))), i32.load(h, SIE)));
  f.if(i32.eqz(due), () => f.return());
  const code = select(
    i32.and(due, i32.const(SEIP)),
    i32.const(INTERRUPT_EXTERNAL),
    select(i32.and(due, i32.const(SSIP)), i32.const(INTERRUPT_SOFTWARE), i32.const(INTERRUPT_TIMER)),
  );
  f.call(trap, h, i64.load(h, PC), i64.or(i64.extendU(code), i64.pair(-0x80000000, 0)), i64.const(0));
  return f;
}
