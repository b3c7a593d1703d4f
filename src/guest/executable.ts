/**
 * A program as a file that Linux runs: a static RISC-V executable of code, and memory that is zero at the beginning.
 *
 *     file 0x000  ELF header, two program headers
 *          0x100  code                      mapped at `at` + 0x100, r-x
 *     bss          `zeroed.size` bytes      mapped at `zeroed.at`, rw-
 */
export const CODE_OFFSET = 0x100;

export interface ExecutableOptions {
  /** Where the file is mapped, a multiple of 4096; the program begins 0x100 bytes behind. */
  readonly at: number;
  readonly code: Uint8Array;
  readonly zeroed: { readonly at: number; readonly size: number };
}

export function executable({ at, code, zeroed }: ExecutableOptions): Uint8Array {
  const file = new Uint8Array(CODE_OFFSET + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF, 64-bit, little-endian
  view.setUint16(16, 2, true); // e_type ET_EXEC
  view.setUint16(18, 243, true); // e_machine EM_RISCV
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(at + CODE_OFFSET), true); // e_entry
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint32(48, 0x4, true); // e_flags: double-float ABI
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true); // e_phnum
  view.setUint16(58, 64, true);
  const segment = (n: number, flags: number, vaddr: number, filesz: number, memsz: number): void => {
    const header = 64 + 56 * n;
    view.setUint32(header, 1, true); // PT_LOAD
    view.setUint32(header + 4, flags, true);
    view.setBigUint64(header + 16, BigInt(vaddr), true);
    view.setBigUint64(header + 24, BigInt(vaddr), true);
    view.setBigUint64(header + 32, BigInt(filesz), true);
    view.setBigUint64(header + 40, BigInt(memsz), true);
    view.setBigUint64(header + 48, 0x1000n, true);
  };
  segment(0, 5, at, file.length, file.length);
  segment(1, 6, zeroed.at, 0, zeroed.size);
  file.set(code, CODE_OFFSET);
  return file;
}
