import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { O } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { epollEntries, type EpollEntry } from '../proc/fdinfo.js';
import { fileKind } from './kind.js';

const EPOLL_CTL_ADD = 1;

/** epoll(7): what is watched, for what, with which data. Entries are added anew in the name of the process. */
export const epoll = fileKind<readonly EpollEntry[]>({
  name: 'epoll',
  keeps: 'entries with their data',
  refuses: 'an entry for a closed descriptor',
  independent: true,
  matches: (view) => view.link === 'anon_inode:[eventpoll]',
  describe(view, process) {
    const open = new Set(process.descriptors.map((d) => d.fd));
    for (const e of epollEntries(view.info)) {
      if (!open.has(e.tfd))
        throw unsupported(
          'an epoll set that watches a closed descriptor',
          `descriptor ${view.fd} of process ${process.pid}`,
        );
    }
  },
  checkpoint(_, { view: { info } }) {
    return Promise.resolve(epollEntries(info));
  },
  async restore({ hands }) {
    return check(await hands.syscall(SYS.epoll_create1, O.CLOEXEC), 'making an epoll set');
  },
  async connect({ leader }, fd, entries) {
    for (let start = 0; start < entries.length; start += 200) {
      const b = leader.batch();
      const refs = entries.slice(start, start + 200).map((e) => {
        // struct epoll_event on RISC-V: events u32, padding, data u64.
        const event = new Uint8Array(16);
        const view = new DataView(event.buffer);
        view.setUint32(0, e.events, true);
        view.setBigUint64(8, e.data, true);
        return b.call(SYS.epoll_ctl, fd, EPOLL_CTL_ADD, e.tfd, b.bytes(event));
      });
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), 'filling an epoll set');
    }
  },
});
