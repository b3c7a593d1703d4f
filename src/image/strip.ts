/**
 * Strips kernel modules, as `strip --strip-unneeded -R .BTF` does: debugging sections go, and
 * symbols that no relocation of a remaining section needs. ext4 shrinks from 7.0 to 1.6 MB, which is
 * what a guest then does not have to unpack. The signature behind the file goes with it; that taints
 * the kernel and nothing more.
 *
 *   Elf64_Sym, 24 bytes:   st_name 0 (4) · st_info 4 (1) · st_other 5 (1) · st_shndx 6 (2) · st_value 8 · st_size 16
 *   Elf64_Rela, 24 bytes:  r_offset 0 · r_info 8 (type 4, symbol 4 above it) · r_addend 16
 */
import { concatBytes, toBytes } from './bytes.js';
import { EHDR_SIZE, readSections, SHDR_SIZE, SHT, stringAt, viewOf, type ElfSection } from './elf.js';
import { ImageError } from './errors.js';

const ET_REL = 1;
const SYMBOL = 24;
const RELA = 24;
const SHN_LORESERVE = 0xff00;
const STB_LOCAL = 0;
const SHF_GROUP = 0x200n;

const isDebug = (name: string): boolean => /^\.(debug_|zdebug_|BTF|comment$|gnu_debug|note\.GNU-stack$)/.test(name);

/**
 * @throws ImageError `corrupt` when the file is not a relocatable ELF file.
 */
export function stripModule(file: Uint8Array): Uint8Array {
  const all = readSections(file);
  if (viewOf(file).getUint16(16, true) !== ET_REL) throw new ImageError('corrupt', 'ELF: not a relocatable file');
  const symtabs = all.filter((s) => s.sh_type === SHT.SYMTAB);
  if (symtabs.length !== 1) throw new ImageError('corrupt', 'ELF: a module has one symbol table');
  const symtab = symtabs[0];
  const strtab = all.at(symtab.sh_link);
  const dropped = new Set(all.filter((s) => isDebug(s.name) || s.sh_type === SHT.GROUP));
  for (const s of all) {
    const target = all.at(s.sh_info);
    if (s.sh_type === SHT.RELA && target !== undefined && dropped.has(target)) dropped.add(s);
  }
  const kept = all.filter((s) => !dropped.has(s));
  if (strtab === undefined || !kept.includes(strtab)) throw new ImageError('corrupt', 'ELF: symbols without names');
  const newIndex = new Map(kept.map((section, index) => [all.indexOf(section), index]));

  const symbols = keptSymbols(symtab, kept, newIndex);
  const shstrtab = all[viewOf(file).getUint16(62, true)];
  const { symbolData, names } = writeSymbols(symtab, strtab, symbols, newIndex);
  const sections = kept.map((section): ElfSection => {
    const link = newIndex.get(section.sh_link) ?? 0;
    const flags = section.sh_flags & ~SHF_GROUP;
    const same = { ...section, sh_link: link, sh_flags: flags };
    if (section === symtab) return { ...same, data: symbolData, sh_info: symbols.locals };
    if (section === strtab) return { ...same, data: names };
    if (section.sh_type !== SHT.RELA) return same;
    return { ...same, sh_info: newIndex.get(section.sh_info) ?? 0, data: writeRelocations(section, symbols.index) };
  });
  return writeFile(file, sections, kept.indexOf(shstrtab));
}

interface KeptSymbols {
  /** Old indices, locals first, as the ABI wants them. */
  order: number[];
  /** How many of them are local: `sh_info` of the symbol table. */
  locals: number;
  /** From old index to new. */
  index: Map<number, number>;
}

function keptSymbols(symtab: ElfSection, kept: readonly ElfSection[], sections: Map<number, number>): KeptSymbols {
  const view = viewOf(symtab.data);
  const count = Math.floor(symtab.data.length / SYMBOL);
  const used = new Set<number>([0]);
  for (const section of kept) {
    if (section.sh_type !== SHT.RELA) continue;
    const relocations = viewOf(section.data);
    for (let at = 0; at + RELA <= section.data.length; at += RELA) used.add(relocations.getUint32(at + 12, true));
  }
  const locals: number[] = [];
  const globals: number[] = [];
  for (let n = 0; n < count; n++) {
    const local = view.getUint8(n * SYMBOL + 4) >> 4 === STB_LOCAL;
    const section = view.getUint16(n * SYMBOL + 6, true);
    const lost = section < SHN_LORESERVE && !sections.has(section);
    if (used.has(n) || (!local && !lost)) (local ? locals : globals).push(n);
  }
  for (const n of used)
    if (n >= count) throw new ImageError('corrupt', `ELF: a relocation names symbol ${n} of ${count}`);
  const order = [...locals, ...globals];
  return { order, locals: locals.length, index: new Map(order.map((old, index) => [old, index])) };
}

function writeSymbols(symtab: ElfSection, strtab: ElfSection, symbols: KeptSymbols, sections: Map<number, number>) {
  const symbolData = new Uint8Array(symbols.order.length * SYMBOL);
  const view = viewOf(symbolData);
  const names: Uint8Array[] = [Uint8Array.of(0)];
  const offsets = new Map<string, number>([['', 0]]);
  let length = 1;
  symbols.order.forEach((old, index) => {
    symbolData.set(symtab.data.subarray(old * SYMBOL, (old + 1) * SYMBOL), index * SYMBOL);
    const at = index * SYMBOL;
    const name = stringAt(strtab.data, view.getUint32(at, true));
    let offset = offsets.get(name);
    if (offset === undefined) {
      const bytes = toBytes(`${name}\0`);
      offset = length;
      offsets.set(name, offset);
      names.push(bytes);
      length += bytes.length;
    }
    view.setUint32(at, offset, true);
    const section = view.getUint16(at + 6, true);
    if (section < SHN_LORESERVE) view.setUint16(at + 6, sections.get(section) ?? 0, true);
  });
  return { symbolData, names: concatBytes(names) };
}

function writeRelocations(section: ElfSection, index: Map<number, number>): Uint8Array {
  const data = section.data.slice();
  const view = viewOf(data);
  for (let at = 0; at + RELA <= data.length; at += RELA) {
    view.setUint32(at + 12, index.get(view.getUint32(at + 12, true)) ?? 0, true);
  }
  return data;
}

/** Header, contents in order, section headers. */
function writeFile(file: Uint8Array, sections: readonly ElfSection[], names: number): Uint8Array {
  const nameParts: Uint8Array[] = [];
  const nameOffsets: number[] = [];
  let nameLength = 0;
  for (const section of sections) {
    nameOffsets.push(nameLength);
    const bytes = toBytes(`${section.name}\0`);
    nameParts.push(bytes);
    nameLength += bytes.length;
  }
  const bodies = sections.map((section, index) => (index === names ? concatBytes(nameParts) : section.data));
  let length = EHDR_SIZE;
  const offsets = sections.map((section, index) => {
    const align = Math.max(1, section.sh_addralign);
    length = Math.ceil(length / align) * align;
    const offset = length;
    length += bodies[index].length;
    return offset;
  });
  const headers = Math.ceil(length / 8) * 8;
  const out = new Uint8Array(headers + sections.length * SHDR_SIZE);
  out.set(file.subarray(0, EHDR_SIZE));
  const view = viewOf(out);
  view.setBigUint64(40, BigInt(headers), true);
  view.setUint16(60, sections.length, true);
  view.setUint16(62, names, true);
  sections.forEach((section, index) => {
    out.set(bodies[index], offsets[index]);
    if (section.sh_type === 0) return;
    const at = headers + index * SHDR_SIZE;
    view.setUint32(at, nameOffsets[index], true);
    view.setUint32(at + 4, section.sh_type, true);
    view.setBigUint64(at + 8, section.sh_flags, true);
    view.setBigUint64(at + 24, BigInt(offsets[index]), true);
    view.setBigUint64(at + 32, BigInt(section.sh_type === SHT.NOBITS ? section.sh_size : bodies[index].length), true);
    view.setUint32(at + 40, section.sh_link, true);
    view.setUint32(at + 44, section.sh_info, true);
    view.setBigUint64(at + 48, BigInt(section.sh_addralign), true);
    view.setBigUint64(at + 56, BigInt(section.sh_entsize), true);
  });
  return out;
}
