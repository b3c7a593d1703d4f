import { ECALL, RING, auipc, beqz, j, ld, li, words, addi, add } from './code.js';
import { SCRATCH_SIZE } from './mailbox.js';

/**
 * The hands as a file: a static RISC-V executable of one page of code and the scratch memory.
 *
 *     file 0x000  ELF header, two program headers
 *          0x100  code                      mapped at TEXT, r-x
 *     bss          scratch, SCRATCH_SIZE    mapped at SCRATCH, rw-
 *
 * The addresses are far from where Linux puts programs and libraries on Sv39.
 */
export const TEXT = 0x10_0000_0000;
export const SCRATCH = 0x10_1000_0000;

const CODE = 0x100;

/**
 * The code. Every path leads back to the ring; a child of clone() waits, in a system call without
 * end, for the tracer that will tell it what to be.
 *
 *            ld   a0, token ; ld a1, token + 8 ; a2 = SCRATCH
 *     ring:  ring                     pc + 0    AT_RING
 *            ecall                    pc + 4    AT_CALL
 *            j    ring
 *            ecall                    pc + 12   AT_CLONE
 *            beqz a0, child
 *            j    ring
 *     child: ppoll(0, 0, 0, 0, 0) ; j child
 *     token: 16 bytes
 */
function code(token: Uint8Array): Uint8Array {
  const prelude = 7;
  const tokenAt = 4 * (prelude + 6 + 8 + 1); // a word of padding keeps it 8-byte aligned
  const body = words(
    auipc('t0', 0),
    ld('a0', tokenAt, 't0'),
    ld('a1', tokenAt + 8, 't0'),
    // SCRATCH - TEXT is 0x1000_0000: one auipc away, less the 12 bytes that came before it.
    auipc('a2', (SCRATCH - TEXT) >> 12),
    addi('a2', 'a2', -(CODE + 12)),
    add('t1', 'zero', 'zero'),
    add('t1', 'zero', 'zero'),
    RING,
    ECALL,
    j(-8),
    ECALL,
    beqz('a0', 8),
    j(-20),
    li('a0', 0),
    li('a1', 0),
    li('a2', 0),
    li('a3', 0),
    li('a4', 0),
    li('a7', 73),
    ECALL,
    j(-28),
    0,
  );
  const out = new Uint8Array(body.length + 16);
  out.set(body);
  out.set(token, body.length);
  return out;
}

/**
 * Emits the executable. `token`: 16 random bytes by which the VMM knows these hands; install the file
 * for root's eyes only (mode 0700).
 */
export function handsElf(token: Uint8Array): Uint8Array {
  const text = code(token);
  const file = new Uint8Array(CODE + text.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF, 64-bit, little-endian
  view.setUint16(16, 2, true); // e_type ET_EXEC
  view.setUint16(18, 243, true); // e_machine EM_RISCV
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(TEXT + CODE), true); // e_entry
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint32(48, 0x4, true); // e_flags: double-float ABI
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true); // e_phnum
  view.setUint16(58, 64, true);
  const segment = (n: number, flags: number, vaddr: number, filesz: number, memsz: number): void => {
    const at = 64 + 56 * n;
    view.setUint32(at, 1, true); // PT_LOAD
    view.setUint32(at + 4, flags, true);
    view.setBigUint64(at + 16, BigInt(vaddr), true);
    view.setBigUint64(at + 24, BigInt(vaddr), true);
    view.setBigUint64(at + 32, BigInt(filesz), true);
    view.setBigUint64(at + 40, BigInt(memsz), true);
    view.setBigUint64(at + 48, 0x1000n, true);
  };
  segment(0, 5, TEXT, file.length, file.length);
  segment(1, 6, SCRATCH, 0, SCRATCH_SIZE);
  file.set(text, CODE);
  return file;
}
