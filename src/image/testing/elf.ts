/** Makes small relocatable ELF files, as kernel modules are. */
import { concatBytes, toBytes } from '../bytes.js';

interface TestSection {
  name: string;
  type: number;
  data: Uint8Array;
  link?: number;
  info?: number;
  align?: number;
}

const SYMBOL = 24;

/**
 * A module with code, `.modinfo`, BTF, debugging sections with relocations, and these symbols:
 * `local_used` and `local_unused` (local), `debug_only` (local, used by debugging information alone),
 * `init_module` (global, defined), `printk` (global, undefined, used).
 */
export function makeModule(modinfo: readonly string[], text = 'code of the module'): Uint8Array {
  const names = ['', 'local_used', 'local_unused', 'debug_only', 'init_module', 'printk'];
  const strtab = toBytes(`${names.join('\0')}\0`);
  const symtab = new Uint8Array(names.length * SYMBOL);
  const symbols = new DataView(symtab.buffer);
  // Sections: 1 .text 2 .rela.text 3 .modinfo 4 .BTF 5 .debug_info 6 .rela.debug_info 7 .bss 8 .symtab 9 .strtab 10 .shstrtab
  const defined = [0, 1, 1, 5, 1, 0];
  names.forEach((_, n) => {
    symbols.setUint32(
      n * SYMBOL,
      names.slice(0, n).reduce((sum, s) => sum + s.length + 1, 0),
      true,
    );
    symbols.setUint8(n * SYMBOL + 4, n >= 4 ? 0x10 : 0);
    symbols.setUint16(n * SYMBOL + 6, defined[n], true);
    symbols.setBigUint64(n * SYMBOL + 8, BigInt(n * 16), true);
  });
  const sections: TestSection[] = [
    { name: '', type: 0, data: new Uint8Array(0) },
    { name: '.text', type: 1, data: toBytes(text), align: 16 },
    { name: '.rela.text', type: 4, data: relocations([1, 5]), link: 8, info: 1, align: 8 },
    { name: '.modinfo', type: 1, data: toBytes(modinfo.map((line) => `${line}\0`).join('')) },
    { name: '.BTF', type: 1, data: new Uint8Array(5000).fill(0x42) },
    { name: '.debug_info', type: 1, data: new Uint8Array(3000).fill(0x44) },
    { name: '.rela.debug_info', type: 4, data: relocations([3]), link: 8, info: 5, align: 8 },
    { name: '.bss', type: 8, data: new Uint8Array(0), align: 64 },
    { name: '.symtab', type: 2, data: symtab, link: 9, info: 4, align: 8 },
    { name: '.strtab', type: 3, data: strtab },
  ];
  const shstrtab = toBytes(`${[...sections.map((s) => s.name), '.shstrtab'].join('\0')}\0`);
  sections.push({ name: '.shstrtab', type: 3, data: shstrtab });
  return concatBytes([writeElf(sections), toBytes('~Module signature appended~\n')]);
}

function relocations(symbols: readonly number[]): Uint8Array {
  const data = new Uint8Array(symbols.length * 24);
  const view = new DataView(data.buffer);
  symbols.forEach((symbol, n) => {
    view.setBigUint64(n * 24, BigInt(n * 4), true);
    view.setUint32(n * 24 + 8, 18, true);
    view.setUint32(n * 24 + 12, symbol, true);
  });
  return data;
}

function writeElf(sections: readonly TestSection[]): Uint8Array {
  let length = 64;
  const offsets = sections.map(({ align = 1, data }) => {
    const offset = Math.ceil(length / align) * align;
    length = offset + data.length;
    return offset;
  });
  const table = Math.ceil(length / 8) * 8;
  const out = new Uint8Array(table + sections.length * 64);
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 1, true);
  view.setUint16(18, 243, true);
  view.setBigUint64(40, BigInt(table), true);
  view.setUint16(52, 64, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, sections.length, true);
  view.setUint16(62, sections.length - 1, true);
  let name = 0;
  sections.forEach((section, n) => {
    out.set(section.data, offsets[n]);
    const at = table + n * 64;
    view.setUint32(at, name, true);
    name += section.name.length + 1;
    view.setUint32(at + 4, section.type, true);
    if (section.type !== 0) view.setBigUint64(at + 24, BigInt(offsets[n]), true);
    view.setBigUint64(at + 32, BigInt(section.type === 8 ? 4096 : section.data.length), true);
    view.setUint32(at + 40, section.link ?? 0, true);
    view.setUint32(at + 44, section.info ?? 0, true);
    view.setBigUint64(at + 48, BigInt(section.align ?? 1), true);
    view.setBigUint64(at + 56, section.type === 2 || section.type === 4 ? 24n : 0n, true);
  });
  return out;
}

/** A program or library whose dynamic section names these libraries, and perhaps an interpreter. */
export function makeDynamic(needed: readonly string[], interpreter?: string): Uint8Array {
  const dynstr = toBytes(`\0${needed.map((n) => `${n}\0`).join('')}`);
  const dynamic = new Uint8Array((needed.length + 1) * 16);
  const view = new DataView(dynamic.buffer);
  needed.forEach((_, n) => {
    view.setBigUint64(n * 16, 1n, true);
    view.setBigUint64(n * 16 + 8, BigInt(1 + needed.slice(0, n).reduce((sum, s) => sum + s.length + 1, 0)), true);
  });
  const sections: TestSection[] = [
    { name: '', type: 0, data: new Uint8Array(0) },
    { name: '.dynstr', type: 3, data: dynstr },
    { name: '.dynamic', type: 6, data: dynamic, link: 1, align: 8 },
  ];
  if (interpreter !== undefined) sections.push({ name: '.interp', type: 1, data: toBytes(`${interpreter}\0`) });
  const shstrtab = toBytes(`${[...sections.map((s) => s.name), '.shstrtab'].join('\0')}\0`);
  return writeElf([...sections, { name: '.shstrtab', type: 3, data: shstrtab }]);
}
