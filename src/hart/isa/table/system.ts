/** Fences, environment calls, CSRs, supervisor instructions, Zicboz and the hands' ring. */
import { call, i32, i64, type ExprI32, type ExprI64 } from '../../../wasm/expr.js';
import type { Context } from '../../context.js';
import { EXIT_HANDS, EXIT_SBI, EXIT_WFI } from '../../exits.js';
import { CSR_CLEAR, CSR_SET, CSR_WRITE } from '../../core/csr.js';
import { EXIT_A, INSTRET, PRIVILEGE } from '../../state.js';
import { CAUSE_BREAKPOINT, CAUSE_ECALL_U, CAUSE_ILLEGAL } from '../causes.js';
import { funct12, funct7, instruction, type Instruction } from './instruction.js';

const SYSTEM = 0x73;
const MISC_MEM = 0x0f;
const CUSTOM_0 = 0x0b;

const inSupervisor = (c: Context): ExprI32 => i32.load(c.h, PRIVILEGE);

/** Runs `body` in supervisor mode; traps as an illegal instruction in user mode. */
function supervisorOnly(c: Context, bits: number, body: () => void): void {
  c.f.if(i32.eqz(inSupervisor(c)), () => c.trap(CAUSE_ILLEGAL, i64.const(bits)));
  body();
}

/** CSR instructions: the core does the access, the old value comes back in EXIT_A. */
function csr(c: Context, operation: number, source: ExprI64, writes: ExprI32): void {
  c.mayTrap((pc) => call(c.core.csr, c.h, pc, c.imm32(), i32.const(operation), source, writes, c.uncounted()));
  c.rd(i64.load(c.h, EXIT_A));
  // A write may have unmasked an interrupt or changed the translation mode.
  c.resumeAt(c.nextPc());
}

const csrRegister = (name: string, funct3: number, operation: number): Instruction =>
  instruction(
    name,
    'csr',
    SYSTEM,
    funct3,
    0,
    (c) => csr(c, operation, c.rs1(), operation === CSR_WRITE ? i32.const(1) : i32.eqz(c.rs1IsX0())),
    'system',
  );
const csrImmediate = (name: string, funct3: number, operation: number): Instruction =>
  instruction(
    name,
    'csrImmediate',
    SYSTEM,
    funct3,
    0,
    (c) => csr(c, operation, c.rs1Field(), operation === CSR_WRITE ? i32.const(1) : i32.eqz(c.rs1IsX0())),
    'system',
  );

function ecall(c: Context): void {
  c.f.if(inSupervisor(c), () => {
    // Like one that traps it does not retire (privileged specification 3.3.1).
    c.f.store64(c.h, i64.sub(i64.load(c.h, INSTRET), i64.const(1)), INSTRET);
    c.exit(EXIT_SBI, c.pc());
  });
  c.trap(CAUSE_ECALL_U, i64.const(0));
}

function sret(c: Context): void {
  supervisorOnly(c, 0x10200073, () => c.resumeAt(call(c.core.sret, c.h)));
}

function wfi(c: Context): void {
  supervisorOnly(c, 0x10500073, () => c.exit(EXIT_WFI, c.nextPc()));
}

function sfence(c: Context): void {
  supervisorOnly(c, 0x12000073, () => {
    c.f.call(c.core.sfenceVma, c.h, c.rs1(), c.rs1IsX0(), c.rs2(), c.rs2IsX0());
    c.resumeAt(c.nextPc());
  });
}

function fenceI(c: Context): void {
  c.f.call(c.core.fenceI, c.h);
  c.resumeAt(c.nextPc());
}

export const system: readonly Instruction[] = [
  instruction('fence', 'fence', MISC_MEM, 0, 0, (c) => c.f.fence()),
  instruction('fence.i', 'fence', MISC_MEM, 1, 0, fenceI, 'system'),
  instruction('cbo.zero', 'cbo', MISC_MEM, 2, funct12(4), (c) =>
    c.mayTrap((pc) => call(c.core.cboZero, c.h, pc, c.rs1())),
  ),
  instruction('ecall', 'none', SYSTEM, 0, funct12(0), ecall, 'system'),
  instruction('ebreak', 'none', SYSTEM, 0, funct12(1), (c) => c.trap(CAUSE_BREAKPOINT, c.pc()), 'system'),
  csrRegister('csrrw', 1, CSR_WRITE),
  csrRegister('csrrs', 2, CSR_SET),
  csrRegister('csrrc', 3, CSR_CLEAR),
  csrImmediate('csrrwi', 5, CSR_WRITE),
  csrImmediate('csrrsi', 6, CSR_SET),
  csrImmediate('csrrci', 7, CSR_CLEAR),
  instruction('sret', 'none', SYSTEM, 0, funct12(0x102), sret, 'system'),
  instruction('wfi', 'none', SYSTEM, 0, funct12(0x105), wfi, 'system'),
  instruction('sfence.vma', 'sfence', SYSTEM, 0, funct7(0x09), sfence, 'system'),
  // Custom-0, all operands zero: the hands ring the VMM, which knows whether they are its own.
  instruction('ring', 'none', CUSTOM_0, 0, 0, (c) => c.exit(EXIT_HANDS, c.pc()), 'system'),
];
