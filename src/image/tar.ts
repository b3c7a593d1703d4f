/**
 * Reads a tar stream, as `dpkg-deb --fsys-tarfile` writes it: POSIX ustar with GNU's long names
 * (types L and K) and pax headers (x) for paths.
 *
 *   offset  size  field              offset  size  field
 *        0   100  name                  148     8  chksum
 *      100     8  mode                  156     1  typeflag
 *      108     8  uid                   157   100  linkname
 *      116     8  gid                   257     6  magic "ustar"
 *      124    12  size                  345   155  prefix
 *
 * Records are 512 bytes; numbers are octal text. Only what is asked for is kept in memory.
 */
import { concatBytes, toText } from './bytes.js';
import { ImageError } from './errors.js';

export interface TarEntry {
  /** Path without `./` before it and without a slash behind it. */
  path: string;
  type: 'file' | 'folder' | 'symlink' | 'hardlink';
  /** Permissions, for example 0o755. */
  mode: number;
  uid: number;
  gid: number;
  data: Uint8Array;
  /** Target of a symbolic or hard link (a hard link's is a path of this archive). */
  link: string;
}

const RECORD = 512;

/**
 * @param keep says, by path, which entries the caller wants.
 * @throws ImageError `corrupt` for a header whose checksum is wrong, or a stream that ends early.
 */
export async function readTar(stream: AsyncIterable<Uint8Array>, keep: (path: string) => boolean): Promise<TarEntry[]> {
  const input = new Input(stream);
  const entries: TarEntry[] = [];
  let longName = '';
  let longLink = '';
  for (;;) {
    const head = await input.take(RECORD);
    // Two zero records end the archive; what may follow is of no meaning.
    if (head === undefined || head.every((b) => b === 0)) break;
    checkHeader(head);
    const size = octal(head, 124, 12);
    const type = String.fromCharCode(head[156]);
    const prefix = text(head, 345, 155);
    const name = longName || (prefix === '' ? text(head, 0, 100) : `${prefix}/${text(head, 0, 100)}`);
    const link = longLink || text(head, 157, 100);
    const padded = Math.ceil(size / RECORD) * RECORD;
    if ('LKxg'.includes(type)) {
      const data = (await input.need(padded)).subarray(0, size);
      if (type === 'L') longName = text(data, 0, size);
      else if (type === 'K') longLink = text(data, 0, size);
      else if (type === 'x') ({ path: longName = longName, linkpath: longLink = longLink } = paxRecords(data));
      continue;
    }
    longName = longLink = '';
    const path = name.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
    const kind = ({ '0': 'file', '\0': 'file', '7': 'file', '5': 'folder', '2': 'symlink', '1': 'hardlink' } as const)[
      type
    ];
    if (kind === undefined || path === '' || path === '.' || !keep(path)) {
      await input.skip(padded);
      continue;
    }
    if (path.split('/').includes('..')) throw new ImageError('corrupt', `tar: "${path}" leaves its folder`);
    // A copy: the piece it lies in may be many times its size.
    const data = (await input.need(padded)).slice(0, size);
    const [mode, uid, gid] = [octal(head, 100, 8) & 0o7777, octal(head, 108, 8), octal(head, 116, 8)];
    entries.push({
      path,
      type: kind,
      mode,
      uid,
      gid,
      data,
      link: kind === 'hardlink' ? link.replace(/^(\.?\/)+/, '') : link,
    });
  }
  // Reads to the end, so that the writer sees no broken pipe.
  await input.drain();
  return entries;
}

function text(data: Uint8Array, at: number, length: number): string {
  const field = data.subarray(at, at + length);
  const end = field.indexOf(0);
  return toText(end < 0 ? field : field.subarray(0, end));
}

function octal(head: Uint8Array, at: number, length: number): number {
  const digits = text(head, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw new ImageError('corrupt', `tar: "${digits}" is not an octal number`);
  return digits === '' ? 0 : parseInt(digits, 8);
}

/** The checksum is the sum of the header's bytes, with its own field taken as spaces. */
function checkHeader(head: Uint8Array): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < RECORD; i++) if (i < 148 || i >= 156) sum += head[i];
  if (sum !== octal(head, 148, 8)) throw new ImageError('corrupt', 'tar: the checksum of a header is wrong');
}

/** pax: lines of "LENGTH KEY=VALUE\n". */
function paxRecords(data: Uint8Array): { path?: string; linkpath?: string } {
  const records: { path?: string; linkpath?: string } = {};
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at);
    const length = space < 0 ? 0 : Number(toText(data.subarray(at, space)));
    if (!Number.isInteger(length) || length <= space - at || at + length > data.length) {
      throw new ImageError('corrupt', 'tar: a pax record has no length');
    }
    const [, key, value] = /^([^=]*)=([^]*)\n$/.exec(toText(data.subarray(space + 1, at + length))) ?? [];
    if (key === 'path' || key === 'linkpath') records[key] = value;
    at += length;
  }
  return records;
}

/** Takes pieces of any size and gives pieces of the size wanted. */
class Input {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #pieces: Uint8Array[] = [];
  #have = 0;
  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#iterator = stream[Symbol.asyncIterator]();
  }
  async #more(): Promise<boolean> {
    const next = await this.#iterator.next();
    if (next.done === true) return false;
    this.#pieces.push(next.value);
    this.#have += next.value.length;
    return true;
  }
  /** `length` bytes, or undefined at the end of the stream. */
  async take(length: number): Promise<Uint8Array | undefined> {
    while (this.#have < length) {
      if (await this.#more()) continue;
      if (this.#have === 0) return undefined;
      throw new ImageError('corrupt', 'tar: the stream ends in the middle');
    }
    const all = this.#pieces.length === 1 ? this.#pieces[0] : concatBytes(this.#pieces);
    this.#pieces = [all.subarray(length)];
    this.#have = all.length - length;
    return all.subarray(0, length);
  }
  async need(length: number): Promise<Uint8Array> {
    if (length === 0) return new Uint8Array(0);
    const data = await this.take(length);
    if (data === undefined) throw new ImageError('corrupt', 'tar: the stream ends in the middle');
    return data;
  }
  async skip(length: number): Promise<void> {
    let left = length;
    while (left > 0) {
      if (this.#have === 0) {
        if (!(await this.#more())) throw new ImageError('corrupt', 'tar: the stream ends in the middle');
        continue;
      }
      const piece = this.#pieces[0];
      const n = Math.min(left, piece.length);
      if (n === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(n);
      this.#have -= n;
      left -= n;
    }
  }
  async drain(): Promise<void> {
    this.#pieces = [];
    this.#have = 0;
    while (await this.#more()) this.#pieces = [];
  }
}
