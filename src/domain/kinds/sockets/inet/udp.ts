import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupportedNow } from '../../../errors.js';
import { making } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import { together } from '../../../together.js';
import { fileKind } from '../../kind.js';
import { socketFamily } from '../socket-options.js';
import { isBound } from './address.js';
import { addUnsent, deliver, takeDatagrams, type Datagram } from './datagrams.js';
import { shutdownOf } from './datagram-diag.js';
import { addFilterLook, setFilter } from './filter.js';
import { finishInetSocket, makeInetSocket, readInetSocket, type InetSocket } from './inet-socket.js';
import { joinAll, readMemberships, type Membership } from './multicast.js';
import { noteShared } from './shared-ports.js';

interface UdpState extends InetSocket {
  shared: boolean;
  /** Bit 0: receives no more; bit 1: sends no more. */
  readonly shutdown: number;
  readonly memberships: readonly Membership[];
  readonly waiting: readonly Datagram[];
}

/** UDP. What waits is taken out and delivered anew, also if the domain goes on where it was. */
export const udp = fileKind<UdpState>({
  name: 'udp',
  keeps:
    'names, peers, shut directions, options, multicast memberships, classic BPF filters; datagrams that wait, with their senders, but those sent to many',
  refuses: 'UDP-Lite; a datagram that is being put together; eBPF filters',
  independent: true,
  matches: (view) => view.link.startsWith('socket:['),
  async inspect(context, file) {
    const where = `descriptor ${file.view.fd}`;
    const b = context.hands.batch();
    const [filter, unsent] = [addFilterLook(b, file.held, where), addUnsent(b, file.held)];
    const r = await b.run();
    filter(r);
    if (unsent(r) > 0) throw unsupportedNow('corked UDP data', where);
    // A kernel that loads a module to tell shall not have to while the domain stands still.
    await shutdownOf(context, file);
  },
  async checkpoint(context, file) {
    const { hands, undo, anchor } = context;
    const fd = file.held;
    const where = `descriptor ${file.view.fd}`;
    const family = await socketFamily(hands, file);
    const { socket, more: unsent } = await readInetSocket(hands, file, family, (b) => addUnsent(b, fd));
    if (unsent > 0) throw unsupportedNow('corked UDP data', where);
    const [memberships, shutdown] = await together([readMemberships(context, fd, socket), shutdownOf(context, file)]);
    const waiting: Datagram[] = [];
    undo.add('delivering datagrams again', () => deliver(hands, anchor.netns, waiting));
    await takeDatagrams(hands, fd, socket, waiting, where);
    return noteShared(context, { ...socket, shared: false, shutdown, memberships, waiting });
  },
  restore: ({ hands, anchor }, s) =>
    making(hands, async (note) => {
      const fd = note(await makeInetSocket(hands, anchor, s, { shared: s.shared }));
      await joinAll(hands, fd, s.domain, s.memberships);
      await finishInetSocket(hands, anchor, fd, s);
      if (s.peer.length > 0 && isBound(s.peer)) {
        const b = hands.batch();
        const connected = b.call(SYS.connect, fd, b.bytes(s.peer), s.peer.length);
        check((await b.run()).value(connected), 'connecting a socket');
      }
      return fd;
    }),
  async connect({ context: { hands, anchor, counters } }, _fd, s, held) {
    await deliver(hands, anchor.netns, s.waiting);
    counters.bytesCopied += s.waiting.reduce((n, d) => n + d.data.length, 0);
    if (s.shutdown !== 0) await hands.syscall(SYS.shutdown, held, s.shutdown - 1);
  },
  async activate({ hands }, fd, s) {
    if (s.filter !== undefined) await setFilter(hands, fd, s.filter);
  },
});
