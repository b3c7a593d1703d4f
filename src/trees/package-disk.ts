/**
 * Debian packages on a raw disk, one behind the other, for a guest that unpacks them.
 *
 *   byte 0                     a multiple of BLOCK
 *   ┌──────────────────────────┬───────────────────────┬─ …
 *   │ first .deb, then zeroes  │ second .deb, zeroes   │
 *   └──────────────────────────┴───────────────────────┴─ …
 *
 * What is in a package is uncompressed on the way: the host does that many times faster than a guest. A .deb is an ar
 * archive (deb(5)) of three members, each behind a header of 60 bytes, at an even offset:
 *
 *   "!<arch>\n" ‖ debian-binary "2.0\n" ‖ control.tar ‖ data.tar
 */
import { concatBytes, toBytes } from '../image/bytes.js';
import { ImageError } from '../image/errors.js';
import type { Commands, FileWriter } from '../image/host.js';

/** Where packages begin (bytes): as large as the guest reads at once. */
export const BLOCK = 4096;
const MAGIC = toBytes('!<arch>\n');
const HEADER = 60;
/** Bytes of a control archive, at most: it is kept in memory. */
const MOST_CONTROL = 64 * 2 ** 20;
/** Ten digits of an ar header. */
const MOST_MEMBER = 10 ** 10 - 1;

/** Where a package lies on the disk, in bytes. */
export interface Placed {
  readonly at: number;
  readonly size: number;
}

/** An ar header: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2. */
export function arHeader(name: string, size: number): Uint8Array {
  if (size > MOST_MEMBER) throw new ImageError('corrupt', `${name} of a package is too large: ${size} bytes`);
  const text = [name.padEnd(16), '0'.padEnd(12), '0'.padEnd(6), '0'.padEnd(6), '100644'.padEnd(8)].join('');
  return toBytes(`${text}${String(size).padEnd(10)}\`\n`);
}

/** Puts packages (paths of .deb files) on a disk, in this order; answers where each is. */
export class PackageDisk {
  #end = 0;
  constructor(
    private readonly out: FileWriter,
    private readonly commands: Commands,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async add(deb: string): Promise<Placed> {
    const at = this.#end;
    const control = await this.#control(deb);
    const head = [
      MAGIC,
      arHeader('debian-binary', 4),
      toBytes('2.0\n'),
      arHeader('control.tar', control.length),
      control,
    ];
    const before = concatBytes([...head, new Uint8Array(control.length % 2)]);
    await this.out.write(at, before);
    // The size is known when all has gone by.
    const dataAt = at + before.length + HEADER;
    let length = 0;
    for await (const piece of this.commands.stream('dpkg-deb', ['--fsys-tarfile', deb], { signal: this.signal })) {
      await this.out.write(dataAt + length, piece);
      length += piece.length;
    }
    await this.out.write(dataAt - HEADER, arHeader('data.tar', length));
    const size = dataAt + length - at;
    this.#end = Math.ceil((at + size) / BLOCK) * BLOCK;
    return { at, size };
  }

  /** To be called at the end: a disk has whole sectors. */
  async finish(): Promise<void> {
    await this.out.resize(Math.max(this.#end, BLOCK));
  }

  async #control(deb: string): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of this.commands.stream('dpkg-deb', ['--ctrl-tarfile', deb], { signal: this.signal })) {
      pieces.push(piece.slice());
      length += piece.length;
      if (length > MOST_CONTROL) throw new ImageError('corrupt', `${deb}: its control archive has no end`);
    }
    return concatBytes(pieces);
  }
}
