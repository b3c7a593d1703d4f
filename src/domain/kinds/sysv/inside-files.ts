import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { AT_FDCWD, CLONE, O } from '../../linux/flags.js';
import { inside, type Where } from '../../linux/inside.js';
import { closeAll } from '../../linux/making.js';
import { check, concat, isFound } from '../../linux/os.js';

/** A file of this sort gives about a page per read. */
const PAGE = 4096;
/** Bytes of a read that is only to find the end. */
const LAST_LOOK = 64;
const LONG_READS = 100;

/**
 * Reads files of `/proc` that tell of the IPC namespace of whoever opens them, as a process of the domain would. A file
 * that cannot be opened is empty.
 */
export async function readInside(hands: Hands, where: Where, paths: readonly string[]): Promise<string[]> {
  const opened = await inside(hands, where, CLONE.NEWIPC, (b) => {
    const files = paths.map((path) => {
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(path), O.RDONLY | O.CLOEXEC, 0);
      const [page, rest] = [b.out(PAGE), b.out(LAST_LOOK)];
      return { fd, page, rest, n: b.call(SYS.read, fd, page, PAGE), m: b.call(SYS.read, fd, rest, LAST_LOOK) };
    });
    return (r) =>
      files.map(({ fd, page, rest, n, m }) => ({
        fd: r.value(fd),
        lengths: [r.value(n), r.value(m)],
        bytes: concat([r.bytes(page, r.value(n)), r.bytes(rest, r.value(m))]),
      }));
  });
  try {
    const texts: string[] = [];
    for (const [i, { fd, lengths, bytes }] of opened.entries()) {
      // What may be there all the same must not be taken for nothing.
      if (isFound(fd, `opening ${paths[i]}`)) for (const length of lengths) check(length, `reading ${paths[i]}`);
      const pieces = [bytes];
      for (let ended = lengths[1] <= 0; !ended;) {
        const b = hands.batch();
        const reads = Array.from({ length: LONG_READS }, () => {
          const buf = b.out(PAGE);
          return { buf, n: b.mustFind(SYS.read, fd, buf, PAGE) };
        });
        const r = await b.run();
        for (const { buf, n } of reads) {
          if (!ended) check(r.value(n), 'reading what a namespace has');
          if (r.value(n) <= 0) ended = true;
          else pieces.push(r.bytes(buf, r.value(n)));
        }
      }
      texts.push(new TextDecoder().decode(concat(pieces)));
    }
    return texts;
  } finally {
    await closeAll(
      hands,
      opened.map((o) => o.fd),
    );
  }
}
