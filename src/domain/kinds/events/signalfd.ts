import { SYS } from '../../../guest/hands/syscalls.js';
import { F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fdInfoValue } from '../../proc/fdinfo.js';
import { fileKind } from '../kind.js';

interface SignalfdState {
  readonly mask: bigint;
  readonly flags: number;
}

/** signalfd(2): it reads the signals of whoever reads it, so the mask is all it has. */
export const signalfd = fileKind<SignalfdState>({
  name: 'signalfd',
  keeps: 'mask, flags',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[signalfd]',
  checkpoint(_, { view: { info } }) {
    return Promise.resolve({
      mask: BigInt(`0x${fdInfoValue(info, 'sigmask') || '0'}`),
      flags: info.flags & ~O.CLOEXEC,
    });
  },
  async restore({ hands }, state) {
    const b = hands.batch();
    const fd = b.must(
      SYS.signalfd4,
      -1,
      b.bytes(new Uint8Array(new BigUint64Array([state.mask]).buffer)),
      8,
      O.CLOEXEC,
    );
    const flagged = b.must(SYS.fcntl, fd, F.SETFL, state.flags);
    const r = await b.run();
    return making(hands, (note) => {
      note(check(r.value(fd), 'making a signalfd'));
      check(r.value(flagged), 'setting the flags of a signalfd');
      return Promise.resolve(r.value(fd));
    });
  },
});
