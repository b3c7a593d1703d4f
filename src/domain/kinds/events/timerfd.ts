import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { AT_FDCWD, CLOCK, F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fdInfoValue, parseFdInfo } from '../../proc/fdinfo.js';
import type { Anchor } from '../../tree/anchor.js';
import { fileKind } from '../kind.js';

const TFD_TIMER_ABSTIME = 1;
const CLOCK_REALTIME_ALARM = 8;
const CLOCK_BOOTTIME_ALARM = 9;
/** _IOW('T', 0, __u64) */
const TFD_IOC_SET_TICKS = 0x40085400;

interface TimerfdState {
  readonly clock: number;
  /** Expirations not yet read. */
  readonly ticks: bigint;
  readonly settimeFlags: number;
  /** `struct itimerspec`: interval, remaining time. */
  readonly time: Uint8Array;
  /** When it expires, by the clock as the domain sees it: for one that was given a point in time. */
  readonly expires: bigint;
  readonly flags: number;
}

/** The clock that an alarm's time is told by: alarm clocks themselves cannot be read everywhere. */
const readable = (clock: number): number =>
  clock === CLOCK_REALTIME_ALARM ? CLOCK.REALTIME : clock === CLOCK_BOOTTIME_ALARM ? CLOCK.BOOTTIME : clock;

/** What the domain's clock is ahead of the hands' (time_namespaces(7)). */
function aheadOf({ clocks }: Anchor, clock: number): bigint {
  const base = readable(clock);
  return base === CLOCK.MONOTONIC ? clocks.monotonic : base === CLOCK.BOOTTIME ? clocks.boottime : 0n;
}

/** `struct itimerspec`: interval, then what remains; seconds and nanoseconds, i64 each. */
const ITIMERSPEC = 32;
const INFO_SIZE = 4096;
const MOST_LOOKS = 100;

/** Nanoseconds until a timer expires; 0 if it is not armed. */
const remaining = (time: DataView): bigint => time.getBigInt64(16, true) * 1_000_000_000n + time.getBigInt64(24, true);

/** Nanoseconds of a `struct timespec`. */
const timeOf = (view: DataView): bigint => view.getBigInt64(0, true) * 1_000_000_000n + view.getBigInt64(8, true);

/** timerfd_create(2): remaining time, interval, and expirations that nobody has read yet. */
export const timerfd = fileKind<TimerfdState>({
  name: 'timerfd',
  keeps:
    'every clock, remaining time or the point in time, interval, unread expirations, being told when the clock is set',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[timerfd]',
  async checkpoint({ hands, anchor }, file) {
    const clock = Number(fdInfoValue(file.view.info, 'clockid'));
    for (let look = 0; look < MOST_LOOKS; look++) {
      // Asking for the time lets a periodic timer that has expired unread run on; only then do the ticks count. They
      // belong to that time if it has not expired again by the next look.
      const b = hands.batch();
      const [before, after] = [b.out(ITIMERSPEC), b.out(ITIMERSPEC)];
      const text = b.out(INFO_SIZE);
      const got = b.call(SYS.timerfd_gettime, file.held, before);
      const now = b.out(16);
      const asked = b.call(SYS.clock_gettime, readable(clock), now);
      const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/fdinfo/${file.held}`), O.RDONLY | O.CLOEXEC, 0);
      const length = b.call(SYS.read, fd, text, INFO_SIZE);
      b.call(SYS.close, fd);
      b.call(SYS.timerfd_gettime, file.held, after);
      const r = await b.run();
      check(r.value(got), 'reading a timerfd');
      check(r.value(asked), 'reading the clock of a timerfd');
      const info = parseFdInfo(new TextDecoder().decode(r.bytes(text, check(r.value(length), 'reading a timerfd'))));
      const [left, later] = [remaining(r.view(before)), remaining(r.view(after))];
      if (left > 0n && (later === 0n || later > left)) continue;
      return {
        clock,
        ticks: BigInt(fdInfoValue(info, 'ticks') || '0'),
        settimeFlags: parseInt(fdInfoValue(info, 'settime flags') || '0', 8),
        time: r.bytes(before),
        expires: left + timeOf(r.view(now)) + aheadOf(anchor, clock),
        flags: info.flags & ~O.CLOEXEC,
      };
    }
    throw new DomainError('state', 'a timerfd expires faster than it can be read');
  },
  restore: ({ hands, anchor }, state) =>
    making(hands, async (note) => {
      const time = state.time.slice();
      const armed = time.some((x) => x !== 0);
      const absolute = armed && (state.settimeFlags & TFD_TIMER_ABSTIME) !== 0;
      if (absolute) {
        const view = new DataView(time.buffer);
        const at = state.expires - aheadOf(anchor, state.clock);
        view.setBigInt64(16, at / 1_000_000_000n, true);
        view.setBigInt64(24, at % 1_000_000_000n, true);
      }
      const b = hands.batch();
      const made = b.must(SYS.timerfd_create, state.clock, O.CLOEXEC | O.NONBLOCK);
      const set = b.call(SYS.timerfd_settime, made, absolute ? state.settimeFlags : 0, b.bytes(time), 0);
      const ticks =
        state.ticks === 0n
          ? set
          : b.call(
              SYS.ioctl,
              made,
              TFD_IOC_SET_TICKS,
              b.bytes(new Uint8Array(new BigUint64Array([state.ticks]).buffer)),
            );
      const flagged = b.call(SYS.fcntl, made, F.SETFL, state.flags);
      const r = await b.run();
      const fd = note(check(r.value(made), 'making a timerfd'));
      check(r.value(set), 'arming a timerfd');
      check(r.value(ticks), 'setting the ticks of a timerfd');
      check(r.value(flagged), 'setting the flags of a timerfd');
      return fd;
    }),
});
