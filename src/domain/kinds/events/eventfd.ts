import { SYS } from '../../../guest/hands/syscalls.js';
import { F, O } from '../../linux/flags.js';
import { making } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { fdInfoValue } from '../../proc/fdinfo.js';
import { fileKind } from '../kind.js';

const EFD_SEMAPHORE = 1;

interface EventfdState {
  readonly count: bigint;
  readonly semaphore: boolean;
  readonly flags: number;
}

/** eventfd(2): a counter. */
export const eventfd = fileKind<EventfdState>({
  name: 'eventfd',
  keeps: 'counter, flags',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[eventfd]',
  checkpoint(_, { view: { info } }) {
    return Promise.resolve({
      count: BigInt(`0x${fdInfoValue(info, 'eventfd-count') || '0'}`),
      semaphore: fdInfoValue(info, 'eventfd-semaphore') === '1',
      flags: info.flags & ~O.CLOEXEC,
    });
  },
  async restore({ hands }, state) {
    const b = hands.batch();
    const fd = b.must(SYS.eventfd2, 0, (state.semaphore ? EFD_SEMAPHORE : 0) | O.CLOEXEC | O.NONBLOCK);
    const wrote = b.must(SYS.write, fd, b.bytes(new Uint8Array(new BigUint64Array([state.count]).buffer)), 8);
    const flagged = b.must(SYS.fcntl, fd, F.SETFL, state.flags);
    const r = await b.run();
    return making(hands, (note) => {
      note(check(r.value(fd), 'making an eventfd'));
      check(r.value(wrote), 'setting an eventfd');
      check(r.value(flagged), 'setting the flags of an eventfd');
      return Promise.resolve(r.value(fd));
    });
  },
});
