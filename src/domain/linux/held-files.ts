import type { Batch, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { AT_FDCWD, O } from './flags.js';
import { closeAll } from './making.js';

/** Files opened in one batch. */
const AT_ONCE = 300;

/**
 * Files and directories of `/proc` and `/sys` that the hands keep open, because they will be read again when time
 * matters: to open one costs the guest's kernel as much as to read it. They say what is true when they are read.
 */
export class HeldFiles {
  readonly #fds: ReadonlyMap<string, number>;

  private constructor(
    readonly hands: Hands,
    fds: ReadonlyMap<string, number>,
  ) {
    this.#fds = fds;
  }

  /** Opens what there is of these paths. */
  static async open(hands: Hands, paths: readonly string[]): Promise<HeldFiles> {
    const fds = new Map<string, number>();
    for (let start = 0; start < paths.length; start += AT_ONCE) {
      const b = hands.batch();
      const refs = paths
        .slice(start, start + AT_ONCE)
        .map((path) => ({ path, fd: b.call(SYS.openat, AT_FDCWD, b.str(path), O.RDONLY | O.CLOEXEC, 0) }));
      const r = await b.run();
      for (const { path, fd } of refs) if (r.value(fd) >= 0) fds.set(path, r.value(fd));
    }
    return new HeldFiles(hands, fds);
  }

  /** The descriptor of the hands for a path, or undefined. */
  get(path: string): number | undefined {
    return this.#fds.get(path);
  }

  async close(): Promise<void> {
    await closeAll(this.hands, [...this.#fds.values()]);
  }
}

/** A file at its beginning, ready to be read in a batch. */
export interface Ready {
  readonly fd: number | Ref;
  /** The call that told whether it is there, for a file that is opened now. */
  readonly opened: Ref | undefined;
  /** Adds what is to be done when it has been read. */
  readonly done: () => void;
}

/** Adds the opening of a file to a batch, or the way back to the beginning of one that is held. */
export function addOpen(b: Batch, path: string, flags: number, held: HeldFiles | undefined): Ready {
  const fd = held?.get(path);
  if (fd !== undefined) {
    b.must(SYS.lseek, fd, 0, 0);
    return { fd, opened: undefined, done: () => undefined };
  }
  const opened = b.call(SYS.openat, AT_FDCWD, b.str(path), flags | O.CLOEXEC, 0);
  return { fd: opened, opened, done: () => void b.call(SYS.close, opened) };
}
