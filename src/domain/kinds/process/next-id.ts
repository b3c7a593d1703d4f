import { SYS } from '../../../guest/hands/syscalls.js';
import { AT_FDCWD, O } from '../../linux/flags.js';
import { HANDS_FD } from '../../tree/anchor.js';
import { domainKind } from '../kind.js';

/** `0.00 0.01 0.05 1/64 21`: the last word is the id that was given last in the PID namespace of whoever reads it. */
const LOADAVG = /^[\d.]+ [\d.]+ [\d.]+ \d+\/\d+ (\d+)\s*$/;

/** The process or thread id that was given last; 0: nobody could tell. New ones are counted on from it. */
export const nextId = domainKind<number>({
  name: 'the last process id',
  keeps: 'that new processes get ids after the last one that was given, where the first process has /proc',
  async checkpoint({ leaders }) {
    // Only who is in the namespace is told; the first of them asks.
    const leader = leaders.get(Math.min(...leaders.keys()));
    if (leader === undefined) return 0;
    const b = leader.batch();
    const out = b.out(128);
    const fd = b.call(SYS.openat, AT_FDCWD, b.str('/proc/loadavg'), O.RDONLY | O.NONBLOCK | O.CLOEXEC | O.NOFOLLOW, 0);
    const n = b.call(SYS.read, fd, out, 128);
    b.call(SYS.close, fd);
    const r = await b.run();
    const [, last = '0'] = LOADAVG.exec(new TextDecoder().decode(r.bytes(out, Math.max(0, r.value(n))))) ?? [];
    return Number(last);
  },
  async restore({ hands, anchor }, last) {
    if (last === 0) return;
    // It is opened as the hands may, and written by who is in the namespace.
    const path = '/proc/sys/kernel/ns_last_pid';
    const a = hands.batch();
    const opened = a.call(SYS.openat, AT_FDCWD, a.str(path), O.WRONLY | O.CLOEXEC, 0);
    const held = (await a.run()).value(opened);
    if (held < 0) return;
    try {
      const b = anchor.tracee.batch();
      const text = new TextEncoder().encode(String(last));
      const got = b.call(SYS.pidfd_getfd, HANDS_FD, held, 0);
      b.call(SYS.write, got, b.bytes(text), text.length);
      b.call(SYS.close, got);
      // A kernel that knows less ids counts from where it is.
      await b.run();
    } finally {
      await hands.syscall(SYS.close, held);
    }
  },
});
