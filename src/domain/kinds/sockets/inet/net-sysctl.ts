import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { AT_FDCWD, CLONE, O } from '../../../linux/flags.js';
import { check } from '../../../linux/os.js';

const text = new TextDecoder();

/** Reads a setting of a network namespace (`/proc/sys/net`), or writes it: a process sees those of the one that it is in. */
export async function netSysctl(hands: Hands, netns: number, name: string, value?: string): Promise<string> {
  const b = hands.batch();
  const own = b.must(SYS.openat, AT_FDCWD, b.str('/proc/self/ns/net'), O.RDONLY | O.CLOEXEC, 0);
  const entered = b.must(SYS.setns, netns, CLONE.NEWNET);
  const fd = b.call(
    SYS.openat,
    AT_FDCWD,
    b.str(`/proc/sys/net/${name}`),
    (value === undefined ? O.RDONLY : O.WRONLY) | O.CLOEXEC,
    0,
  );
  const out = b.out(128);
  const done =
    value === undefined
      ? b.call(SYS.read, fd, out, 128)
      : b.call(SYS.write, fd, b.str(value), new TextEncoder().encode(value).length);
  b.call(SYS.close, fd);
  const left = b.call(SYS.setns, own, CLONE.NEWNET);
  b.call(SYS.close, own);
  const r = await b.run();
  for (const ref of [own, entered, left, fd, done]) check(r.value(ref), `the setting ${name}`);
  return value ?? text.decode(r.bytes(out, r.value(done)));
}
