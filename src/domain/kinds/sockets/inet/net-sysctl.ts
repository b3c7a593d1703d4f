import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { inTurn } from '../../../in-turn.js';
import { AT_FDCWD, CLONE, O } from '../../../linux/flags.js';
import { inside } from '../../../linux/inside.js';
import { check } from '../../../linux/os.js';
import type { Anchor } from '../../../tree/anchor.js';

const text = new TextDecoder();

/** Reads a setting of the domain's network namespace (`/proc/sys/net`), or writes it: a process sees those of the one that it is in. */
function netSysctl(hands: Hands, anchor: Anchor, name: string, value?: string): Promise<string> {
  return inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
    const flags = (value === undefined ? O.RDONLY : O.WRONLY) | O.CLOEXEC;
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/sys/net/${name}`), flags, 0);
    const out = b.out(128);
    const done =
      value === undefined
        ? b.call(SYS.read, fd, out, 128)
        : b.call(SYS.write, fd, b.str(value), new TextEncoder().encode(value).length);
    b.call(SYS.close, fd);
    return (r) => {
      for (const ref of [fd, done]) check(r.value(ref), `the setting ${name}`);
      return value ?? text.decode(r.bytes(out, r.value(done)));
    };
  });
}

/**
 * Work during which a setting of the domain's network namespace is another. `other`: what it is to be, by what it is;
 * undefined: it may stay. Whoever else wants that waits until it is as it was.
 */
export function withNetSysctl<T>(
  hands: Hands,
  anchor: Anchor,
  name: string,
  other: (before: string) => string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  return inTurn([anchor], async () => {
    const before = await netSysctl(hands, anchor, name);
    const value = other(before);
    if (value === undefined) return work();
    await netSysctl(hands, anchor, name, value);
    try {
      return await work();
    } finally {
      await netSysctl(hands, anchor, name, before);
    }
  });
}
