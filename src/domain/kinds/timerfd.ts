import { SYS } from '../../guest/hands/syscalls.js';
import { F, O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { fdInfoValue } from '../proc/fdinfo.js';
import { heldInfo } from './held.js';
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

/** timerfd_create(2): remaining time, interval, and expirations that nobody has read yet. */
export const timerfd = fileKind<TimerfdState>({
  name: 'timerfd',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[timerfd]',
  async checkpoint({ hands }, file) {
    // Asking for the time lets a periodic timer that has expired unread run on; only then do the ticks count.
    const b = hands.batch();
    const time = b.out(32);
    const got = b.call(SYS.timerfd_gettime, file.held, time);
    const r = await b.run();
    check(r.value(got), 'reading a timerfd');
    const info = await heldInfo(hands, file.held);
    return {
      clock: Number(fdInfoValue(info, 'clockid')),
      ticks: BigInt(fdInfoValue(info, 'ticks') || '0'),
      settimeFlags: parseInt(fdInfoValue(info, 'settime flags') || '0', 8),
      time: r.bytes(time),
      flags: info.flags & ~O.CLOEXEC,
    };
  },
  async restore({ hands }, state) {
    const b = hands.batch();
    const made = b.must(SYS.timerfd_create, state.clock, O.CLOEXEC | O.NONBLOCK);
    const now = b.out(16);
    b.call(SYS.clock_gettime, state.clock, now);
    const r = await b.run();
    const fd = check(r.value(made), 'making a timerfd');

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
  },
});
