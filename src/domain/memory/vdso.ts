import { auipc, jalr, words } from '../../guest/hands/code.js';
import { DomainError } from '../errors.js';

/**
 * The vDSO of another kernel.
 *
 * A process keeps the addresses of the vDSO it was started with: in its C library, on its stack, in the
 * registers of a thread that is just inside. In another OS instance the old image therefore stays where it
 * was, as ordinary memory, over data pages that say "no clock to read, not initialised", so whoever is in
 * the middle of it ends in a system call. But coarse clocks are read without asking whether there is a clock
 * (`do_coarse` in lib/vdso/gettimeofday.c): their data are those of the moment of the checkpoint. Its entry
 * points are redirected to the new kernel's vDSO, which lies wherever there was room. `__vdso_rt_sigreturn`
 * and other functions that only make a system call stay as they are.
 *
 * A kept image carries a mark in the padding of its ELF identification, so that it is known again at the
 * next move: then it makes room for the real one, or its entry points are redirected afresh.
 *
 *     e_ident[9..15]  'U' 'S' 'T' 'D' 'Y' vvarPages 0
 */
const MARK = [0x55, 0x53, 0x54, 0x44, 0x59];
const MARK_AT = 9;
/** Bytes of a redirection: auipc t1, jalr x0, t1. */
const PATCH = 8;

const PAGE = 4096;
/**
 * The data pages that clocks are read from, in a process with a time namespace: a page that says so and holds its
 * offsets, then the kernel's clocks. Both have the same layout, which differs from kernel to kernel; but every clock
 * in it begins with
 *
 *     +0 seq u32        in the first page always 1, in the second odd while the kernel writes
 *     +4 clock_mode u32 in the first page always VDSO_CLOCKMODE_TIMENS; 0 is "no clock"
 */
export const CLOCK_BYTES = 2 * PAGE;
const CLOCKMODE_TIMENS = 0x7fff_ffff;

/**
 * Data pages for a kept image: the coarse clocks stand at the moment `pages` were read, of the others it is said that
 * there are none, so that the kernel is asked. Empty for pages of no known layout: zeros then stand there.
 */
export function quietClocks(pages: Uint8Array): Uint8Array {
  if (pages.length !== CLOCK_BYTES) return new Uint8Array(0);
  const out = pages.slice();
  const view = new DataView(out.buffer);
  let clocks = 0;
  for (let at = 0; at < PAGE; at += 8) {
    if (view.getUint32(at, true) !== 1 || view.getUint32(at + 4, true) !== CLOCKMODE_TIMENS) continue;
    // Read while the kernel was writing: nobody would ever see it end.
    if ((view.getUint32(PAGE + at, true) & 1) !== 0) return new Uint8Array(0);
    view.setUint32(PAGE + at + 4, 0, true);
    clocks++;
  }
  return clocks === 0 ? new Uint8Array(0) : out;
}

export interface VdsoSymbol {
  readonly name: string;
  /** Bytes from the start of the image. */
  readonly at: number;
  readonly size: number;
}

/** Exported functions of an image, from its section headers (SHT_DYNSYM). Throws `unsupported` for an image that has none. */
export function vdsoSymbols(image: Uint8Array): VdsoSymbol[] {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const bad = (why: string): DomainError =>
    new DomainError('unsupported', `the vDSO ${why}`, { resource: 'an unknown vDSO' });
  if (image.length < 64 || view.getUint32(0, true) !== 0x464c457f) throw bad('is no ELF image');
  const shoff = Number(view.getBigUint64(40, true));
  const shentsize = view.getUint16(58, true);
  const shnum = view.getUint16(60, true);
  const header = (i: number): number => {
    const at = shoff + i * shentsize;
    if (at + 64 > image.length) throw bad('has section headers outside its pages');
    return at;
  };
  for (let i = 0; i < shnum; i++) {
    const at = header(i);
    if (view.getUint32(at + 4, true) !== 11) continue; // SHT_DYNSYM
    const offset = Number(view.getBigUint64(at + 24, true));
    const size = Number(view.getBigUint64(at + 32, true));
    const strings = Number(view.getBigUint64(header(view.getUint32(at + 40, true)) + 24, true));
    if (offset + size > image.length) throw bad('has symbols outside its pages');
    const symbols: VdsoSymbol[] = [];
    for (let s = offset; s + 24 <= offset + size; s += 24) {
      const value = Number(view.getBigUint64(s + 8, true));
      const symbolSize = Number(view.getBigUint64(s + 16, true));
      const type = view.getUint8(s + 4) & 15;
      if (type !== 2 || value + symbolSize > image.length) continue; // STT_FUNC
      const nameAt = strings + view.getUint32(s, true);
      const end = image.indexOf(0, nameAt);
      symbols.push({ name: new TextDecoder().decode(image.subarray(nameAt, end)), at: value, size: symbolSize });
    }
    return symbols;
  }
  throw bad('exports no symbols');
}

/**
 * True if code that goes on `at` bytes into an image is in the middle of an entry point's first instructions: those
 * that a redirection is put over, or the redirection itself.
 */
export function isInEntry(image: Uint8Array, at: number): boolean {
  return vdsoSymbols(image).some((s) => at > s.at && at < s.at + PATCH);
}

/** How many pages of data lay before a kept image, or -1 if these bytes are no kept image. */
export function keptVvarPages(head: Uint8Array): number {
  if (head.length < 16 || head[0] !== 0x7f || head[1] !== 0x45) return -1;
  if (!MARK.every((byte, i) => head[MARK_AT + i] === byte)) return -1;
  return head[MARK_AT + MARK.length] ?? -1;
}

/** True if `kept` was once this `image`: equal but for the mark and the redirections. */
export function isSameVdso(kept: Uint8Array, image: Uint8Array): boolean {
  if (kept.length !== image.length) return false;
  const skip = new Set<number>();
  for (let i = MARK_AT; i < 16; i++) skip.add(i);
  for (const s of vdsoSymbols(image)) for (let i = 0; i < PATCH; i++) skip.add(s.at + i);
  for (let i = 0; i < image.length; i++) if (kept[i] !== image[i] && !skip.has(i)) return false;
  return true;
}

/**
 * The bytes to keep of an old image that lies at `oldBase`, with its entry points leading to the image
 * `next` at `newBase`. Functions the new one lacks stay as they are: over zeroed data they make system
 * calls. Throws if the two lie more than 2 GiB apart.
 */
export function redirectVdso(
  old: Uint8Array,
  oldBase: number,
  vvarPages: number,
  next: Uint8Array,
  newBase: number,
): Uint8Array {
  const out = old.slice();
  out.set(MARK, MARK_AT);
  out[MARK_AT + MARK.length] = vvarPages;
  const targets = new Map(vdsoSymbols(next).map((s) => [s.name, s]));
  for (const s of vdsoSymbols(old)) {
    const target = targets.get(s.name);
    if (target === undefined || s.size < PATCH || s.name === '__vdso_rt_sigreturn') continue;
    const distance = newBase + target.at - (oldBase + s.at);
    if (Math.abs(distance) >= 0x7fff_f000) throw new DomainError('state', 'the two vDSOs lie too far apart');
    const low = (distance << 20) >> 20;
    const high = (distance - low) / 4096;
    out.set(words(auipc('t1', high), jalr('zero', 't1', low)), s.at);
  }
  return out;
}
