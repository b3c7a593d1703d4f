/** A tree of unpacked packages, and what programs in it need to run. */
import type { CpioEntry } from './cpio.js';
import { isElf, readNeeded } from './elf.js';
import { ImageError } from './errors.js';
import type { TarEntry } from './tar.js';

const LIBRARY_FOLDERS = ['usr/lib/riscv64-linux-gnu', 'usr/lib', 'lib/riscv64-linux-gnu', 'lib'];
/** Debian's merged /usr: these are links in every image, so paths through them are rewritten. */
const MERGED = /^(bin|sbin|lib)(?=\/|$)/;
const LINKS_MAX = 40;

const normal = (path: string): string => path.replace(MERGED, 'usr/$1');

export class PackageTree {
  readonly #entries = new Map<string, TarEntry>();

  /** A later package's file replaces an earlier one's, as in dpkg. */
  add(entries: readonly TarEntry[]): void {
    for (const entry of entries) this.#entries.set(normal(entry.path), entry);
  }

  has(path: string): boolean {
    return this.#entries.has(normal(path));
  }

  /** Contents of a file, through links. @throws ImageError `not-found`. */
  file(path: string): Uint8Array {
    const chain = this.chain(path);
    return this.#data(chain[chain.length - 1]);
  }

  /**
   * The path and what it leads to: symbolic links, then the file at the end.
   *
   * @throws ImageError `not-found` when there is no such file, `corrupt` when links go in a circle.
   */
  chain(path: string): string[] {
    const chain: string[] = [];
    let at = normal(path);
    for (;;) {
      const entry = this.#entries.get(at);
      if (entry === undefined) throw new ImageError('not-found', `no package of this profile has /${at}`);
      chain.push(at);
      if (entry.type !== 'symlink') return chain;
      if (chain.length > LINKS_MAX) throw new ImageError('corrupt', `links without end at /${path}`);
      at = normal(resolveLink(at, entry.link));
    }
  }

  #data(path: string): Uint8Array {
    const entry = this.#entries.get(path)!;
    return entry.type === 'hardlink' ? this.file(entry.link) : entry.data;
  }

  /**
   * Entries for these files, the links that lead to them, the program interpreter and the shared
   * libraries they need, all as they are in their packages.
   *
   * @throws ImageError `not-found` names the file, and who needs it.
   */
  closure(paths: readonly string[]): CpioEntry[] {
    const out = new Map<string, CpioEntry>();
    const take = (path: string): void => {
      for (const at of this.chain(path)) {
        if (out.has(at)) return;
        const { type, mode, uid, gid, link } = this.#entries.get(at)!;
        if (type === 'symlink') {
          out.set(at, { path: at, mode: 0o777, symlink: link });
          continue;
        }
        const data = this.#data(at);
        out.set(
          at,
          type === 'folder' ? { path: at, mode: 0o040000 | mode, uid, gid } : { path: at, mode, uid, gid, data },
        );
        if (isElf(data)) this.#takeNeeded(at, data, take);
      }
    };
    for (const path of paths) take(path);
    return [...out.values()];
  }

  #takeNeeded(path: string, data: Uint8Array, take: (path: string) => void): void {
    const { interpreter, libraries } = readNeeded(data);
    const folders = LIBRARY_FOLDERS;
    if (interpreter !== undefined) take(interpreter.replace(/^\//, ''));
    for (const library of libraries) {
      const found = folders.map((f) => `${f}/${library}`).find((p) => this.has(p));
      if (found === undefined)
        throw new ImageError('not-found', `/${path} needs ${library}: no package of this profile has it`);
      take(found);
    }
  }
}

/** Where a link at `path` leads, relative to the root. */
export function resolveLink(path: string, target: string): string {
  const parts = target.startsWith('/') ? [] : path.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
