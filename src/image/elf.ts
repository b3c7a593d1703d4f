/**
 * ELF files, as far as images need them: 64 bits, little endian (System V ABI, chapters 4 and 5).
 *
 *   Elf64_Ehdr, 64 bytes:  e_type 16 · e_shoff 40 · e_shentsize 58 · e_shnum 60 · e_shstrndx 62
 *   Elf64_Shdr, 64 bytes:  sh_name 0 · sh_type 4 · sh_flags 8 · sh_addr 16 · sh_offset 24 · sh_size 32
 *                          sh_link 40 · sh_info 44 · sh_addralign 48 · sh_entsize 56
 *   Elf64_Dyn, 16 bytes:   d_tag 0 · d_val 8
 */
import { toText } from './bytes.js';
import { ImageError } from './errors.js';

export const EHDR_SIZE = 64;
export const SHDR_SIZE = 64;

export const SHT = { SYMTAB: 2, STRTAB: 3, RELA: 4, DYNAMIC: 6, NOBITS: 8, GROUP: 17 } as const;

export interface ElfSection {
  name: string;
  sh_type: number;
  sh_flags: bigint;
  sh_link: number;
  sh_info: number;
  sh_addralign: number;
  sh_entsize: number;
  sh_size: number;
  /** Contents; empty for SHT_NOBITS. */
  data: Uint8Array;
}

const corrupt = (what: string): ImageError => new ImageError('corrupt', `ELF: ${what}`);

export const isElf = (data: Uint8Array): boolean =>
  data.length >= EHDR_SIZE && data[0] === 0x7f && data[1] === 0x45 && data[2] === 0x4c && data[3] === 0x46;

export const viewOf = (data: Uint8Array): DataView => new DataView(data.buffer, data.byteOffset, data.byteLength);

/** The NUL-terminated string at `at`. */
export function stringAt(table: Uint8Array, at: number): string {
  const end = table.indexOf(0, at);
  return toText(table.subarray(at, end < 0 ? table.length : end));
}

/** @throws ImageError `corrupt` when this is no ELF64 LE file, or a section lies outside it. */
export function readSections(file: Uint8Array): ElfSection[] {
  if (!isElf(file) || file[4] !== 2 || file[5] !== 1) throw corrupt('not a 64-bit little-endian ELF file');
  const view = viewOf(file);
  const offset = Number(view.getBigUint64(40, true));
  const [entrySize, count, names] = [view.getUint16(58, true), view.getUint16(60, true), view.getUint16(62, true)];
  if (entrySize !== SHDR_SIZE || offset + count * SHDR_SIZE > file.length || names >= count) {
    throw corrupt('the section headers lie outside the file');
  }
  const nameOffsets: number[] = [];
  const sections = Array.from({ length: count }, (_, index): ElfSection => {
    const at = offset + index * SHDR_SIZE;
    const sh_type = view.getUint32(at + 4, true);
    const begin = Number(view.getBigUint64(at + 24, true));
    const sh_size = Number(view.getBigUint64(at + 32, true));
    const length = sh_type === SHT.NOBITS || sh_type === 0 ? 0 : sh_size;
    if (begin + length > file.length) throw corrupt(`section ${index} lies outside the file`);
    nameOffsets.push(view.getUint32(at, true));
    return {
      name: '',
      sh_type,
      sh_flags: view.getBigUint64(at + 8, true),
      sh_link: view.getUint32(at + 40, true),
      sh_info: view.getUint32(at + 44, true),
      sh_addralign: Number(view.getBigUint64(at + 48, true)),
      sh_entsize: Number(view.getBigUint64(at + 56, true)),
      sh_size,
      data: file.subarray(begin, begin + length),
    };
  });
  const table = sections[names].data;
  sections.forEach((section, index) => (section.name = stringAt(table, nameOffsets[index])));
  return sections;
}

const DT_NEEDED = 1n;

/**
 * What a program or shared library needs to run: its program interpreter (`ld.so`), if it names
 * one, and the shared libraries of its dynamic section, in order.
 */
export function readNeeded(file: Uint8Array): { interpreter: string | undefined; libraries: string[] } {
  const sections = readSections(file);
  const interp = sections.find((s) => s.name === '.interp');
  const dynamic = sections.find((s) => s.sh_type === SHT.DYNAMIC);
  const libraries: string[] = [];
  if (dynamic !== undefined) {
    const strings = sections.at(dynamic.sh_link)?.data;
    if (strings === undefined) throw corrupt('the dynamic section has no strings');
    const view = viewOf(dynamic.data);
    for (let at = 0; at + 16 <= dynamic.data.length; at += 16) {
      const tag = view.getBigUint64(at, true);
      if (tag === 0n) break;
      if (tag === DT_NEEDED) libraries.push(stringAt(strings, Number(view.getBigUint64(at + 8, true))));
    }
  }
  return { interpreter: interp === undefined ? undefined : stringAt(interp.data, 0), libraries };
}
