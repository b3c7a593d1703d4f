import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import type { LookContext } from '../kinds/kind.js';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { parseStat } from '../linux/os.js';
import { together } from '../together.js';
import { inodeKey, type Inode } from './inode.js';

const DT_DIR = 4;
const READ = 0x8000;
/** Folders read at the same time, and at most in one search. */
const AT_ONCE = 12;
const MOST_FOLDERS = 4000;
/** How often a folder is read on in one batch. */
const READS = 4;

/** Names that were found before, by the file's key: a search while the domain stands still would take too long. */
const known = new WeakMap<Hands, Map<string, readonly string[]>>();

/**
 * All the names of a file that a domain has, but that it has not by its name. Looked for from the folder that it was in,
 * then upwards, on the same file system. `path`: the name it had. Throws `unsupported` if not all are found.
 */
export async function namesOf(context: LookContext, inode: Inode, path: string): Promise<readonly string[]> {
  const { hands, anchor } = context;
  const [root, there] = anchor.parts(path);
  const prefix = path.slice(0, path.length - there.length);
  const memory = known.get(hands) ?? new Map<string, readonly string[]>();
  known.set(hands, memory);
  const before = memory.get(inode.key);
  const whole = (names: readonly string[]): string[] => names.map((name) => prefix + name);
  if (before?.length === inode.nlink && (await lead(hands, root, before, inode))) return whole(before);
  const search = new Search(hands, root, inode);
  for (let slash = there.lastIndexOf('/'); slash >= 0; slash = slash === 0 ? -1 : there.lastIndexOf('/', slash - 1)) {
    await search.below(there.slice(0, slash));
    if (search.names.length === inode.nlink) {
      memory.set(inode.key, search.names);
      return whole(search.names);
    }
  }
  throw unsupported('a deleted file whose other names are not found', path);
}

async function lead(hands: Hands, root: string, names: readonly string[], inode: Inode): Promise<boolean> {
  return (await keysOf(hands, root, names)).every((key) => key === inode.key);
}

async function keysOf(hands: Hands, root: string, names: readonly string[]): Promise<(string | undefined)[]> {
  return askAll(hands, names, 1, (b, name) => {
    const stat = b.out(128);
    const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(root + name), stat, AT_SYMLINK_NOFOLLOW);
    return (r) => {
      if (r.value(n) < 0) return undefined;
      const { dev, ino } = parseStat(r.view(stat));
      return inodeKey(dev, ino);
    };
  });
}

/** A search for the names of one file, folder by folder; none is read twice. */
class Search {
  readonly names: string[] = [];
  readonly #seen = new Set<string>();
  /** Folders by their keys: what is mounted in two places is looked through once. */
  readonly #folders = new Set<string>();

  constructor(
    readonly hands: Hands,
    readonly root: string,
    readonly inode: Inode,
  ) {}

  async below(top: string): Promise<void> {
    const [key] = await keysOf(this.hands, this.root, [`${top}/`]);
    if (key !== undefined) this.#folders.add(key);
    let level = [top];
    while (level.length > 0 && this.names.length < this.inode.nlink) {
      const some = level.splice(0, AT_ONCE).filter((f) => !this.#seen.has(f));
      if (this.#seen.size > MOST_FOLDERS) return;
      const found = await together(some.map((folder) => this.#look(folder)));
      level = [...level, ...found.flat()];
    }
  }

  /** Notes names in a folder that lead to the file; answers the folders in it that are on the same file system. */
  async #look(folder: string): Promise<string[]> {
    this.#seen.add(folder);
    const { hands, root, inode } = this;
    const b = hands.batch();
    // Nobody shall see that it was read.
    const flags = O.RDONLY | O.DIRECTORY | O.NOATIME | O.CLOEXEC;
    const fd = b.must(SYS.openat, AT_FDCWD, b.str(`${root}${folder}/`), flags, 0);
    const reads = Array.from({ length: READS }, () => {
      const buf = b.out(READ);
      return { buf, n: b.call(SYS.getdents64, fd, buf, READ) };
    });
    b.call(SYS.close, fd);
    const r = await b.run();
    if (r.value(fd) < 0) return [];
    const entries = reads.flatMap(({ buf, n }) => dirents(r.bytes(buf, Math.max(0, r.value(n)))));
    const candidates = entries
      .filter((e) => e.ino === inode.ino && e.type !== DT_DIR)
      .map((e) => `${folder}/${e.name}`);
    const folders = entries.filter((e) => e.type === DT_DIR).map((e) => `${folder}/${e.name}`);
    const device = inode.key.slice(0, inode.key.lastIndexOf(':') + 1);
    const keys = await keysOf(hands, root, [...candidates, ...folders]);
    candidates.forEach((name, i) => {
      if (keys[i] === inode.key && !this.names.includes(name)) this.names.push(name);
    });
    return folders.filter((_, i) => {
      const key = keys[candidates.length + i];
      if (key?.startsWith(device) !== true || this.#folders.has(key)) return false;
      this.#folders.add(key);
      return true;
    });
  }
}

interface Entry {
  readonly ino: number;
  readonly type: number;
  readonly name: string;
}

/** `struct linux_dirent64`: ino u64, off u64, reclen u16, type u8, name. */
function dirents(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: Entry[] = [];
  for (let at = 0; at + 19 <= bytes.length;) {
    const length = view.getUint16(at + 16, true);
    if (length < 19 || at + length > bytes.length) break;
    const name = utf8.decode(bytes.subarray(at + 19, bytes.indexOf(0, at + 19)));
    if (name !== '.' && name !== '..')
      out.push({ ino: Number(view.getBigUint64(at, true)), type: view.getUint8(at + 18), name });
    at += length;
  }
  return out;
}

const utf8 = new TextDecoder();
