import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, F, O } from '../linux/flags.js';
import { making } from '../linux/making.js';
import { check } from '../linux/os.js';
import { fdInfoValue, parseFdInfo } from '../proc/fdinfo.js';
import { fileKind } from './kind.js';

const TFD_TIMER_ABSTIME = 1;
/** _IOW('T', 0, __u64) */
const TFD_IOC_SET_TICKS = 0x40085400;

interface TimerfdState {
  readonly clock: number;
  /** Expirations not yet read. */
  readonly ticks: bigint;
  readonly settimeFlags: number;
  /** `struct itimerspec`: interval, remaining time. */
  readonly time: Uint8Array;
  readonly flags: number;
}

/** `struct itimerspec`: interval, then what remains; seconds and nanoseconds, i64 each. */
const ITIMERSPEC = 32;
const INFO_SIZE = 4096;
const MOST_LOOKS = 100;

/** Nanoseconds until a timer expires; 0 if it is not armed. */
const remaining = (time: DataView): bigint => time.getBigInt64(16, true) * 1_000_000_000n + time.getBigInt64(24, true);

/** timerfd_create(2): remaining time, interval, and expirations that nobody has read yet. */
export const timerfd = fileKind<TimerfdState>({
  name: 'timerfd',
  keeps: 'remaining time, interval, unread expirations',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[timerfd]',
  async checkpoint({ hands }, file) {
    for (let look = 0; look < MOST_LOOKS; look++) {
      // Asking for the time lets a periodic timer that has expired unread run on; only then do the ticks count. They
      // belong to that time if it has not expired again by the next look.
      const b = hands.batch();
      const [before, after] = [b.out(ITIMERSPEC), b.out(ITIMERSPEC)];
      const text = b.out(INFO_SIZE);
      const got = b.call(SYS.timerfd_gettime, file.held, before);
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/fdinfo/${file.held}`), O.RDONLY | O.CLOEXEC, 0);
      const length = b.call(SYS.read, fd, text, INFO_SIZE);
      b.call(SYS.close, fd);
      b.call(SYS.timerfd_gettime, file.held, after);
      const r = await b.run();
      check(r.value(got), 'reading a timerfd');
      const info = parseFdInfo(new TextDecoder().decode(r.bytes(text, check(r.value(length), 'reading a timerfd'))));
      const [left, later] = [remaining(r.view(before)), remaining(r.view(after))];
      if (left > 0n && (later === 0n || later > left)) continue;
      return {
        clock: Number(fdInfoValue(info, 'clockid')),
        ticks: BigInt(fdInfoValue(info, 'ticks') || '0'),
        settimeFlags: parseInt(fdInfoValue(info, 'settime flags') || '0', 8),
        time: r.bytes(before),
        flags: info.flags & ~O.CLOEXEC,
      };
    }
    throw new DomainError('state', 'a timerfd expires faster than it can be read');
  },
  restore: ({ hands }, state) =>
    making(hands, async (note) => {
      const b = hands.batch();
      const made = b.must(SYS.timerfd_create, state.clock, O.CLOEXEC | O.NONBLOCK);
      const now = b.out(16);
      const looked = b.call(SYS.clock_gettime, state.clock, now);
      const r = await b.run();
      const fd = note(check(r.value(made), 'making a timerfd'));
      check(r.value(looked), 'reading the clock of a timerfd');

      const time = state.time.slice();
      const armed = time.some((x) => x !== 0);
      const absolute = armed && (state.settimeFlags & TFD_TIMER_ABSTIME) !== 0;
      if (absolute) {
        const view = new DataView(time.buffer);
        const clock = r.view(now);
        const ns =
          (view.getBigInt64(16, true) + clock.getBigInt64(0, true)) * 1_000_000_000n +
          view.getBigInt64(24, true) +
          clock.getBigInt64(8, true);
        view.setBigInt64(16, ns / 1_000_000_000n, true);
        view.setBigInt64(24, ns % 1_000_000_000n, true);
      }
      const c = hands.batch();
      const set = c.call(SYS.timerfd_settime, fd, absolute ? state.settimeFlags : 0, c.bytes(time), 0);
      const ticks =
        state.ticks === 0n
          ? set
          : c.call(SYS.ioctl, fd, TFD_IOC_SET_TICKS, c.bytes(new Uint8Array(new BigUint64Array([state.ticks]).buffer)));
      c.call(SYS.fcntl, fd, F.SETFL, state.flags);
      const cr = await c.run();
      check(cr.value(set), 'arming a timerfd');
      check(cr.value(ticks), 'setting the ticks of a timerfd');
      return fd;
    }),
});
