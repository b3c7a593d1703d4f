import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { DomainError } from '../../../errors.js';
import { check } from '../../../linux/os.js';
import { int } from '../socket-options.js';
import { endpointOf } from './address.js';
import { Injector } from './inject.js';
import { FLAG, type Segment } from './segment.js';
import {
  finAcknowledged,
  finReceived,
  finSent,
  SEND_QUEUE,
  setOption,
  STATE,
  TCP,
  tcpInfo,
  type Connection,
} from './tcp-repair.js';

export const SHUT_WR = 1;

/** Where a connection was, by the names of its ends. */
export interface Ends {
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
}

/** A segment of the other side's, of a connection as it stands: it has heard all that was acknowledged. */
export function fromPeer({ local, peer }: Ends, c: Connection, ack: number, flags: number): Segment {
  const window = new DataView(c.window.buffer, c.window.byteOffset).getUint32(4, true); // snd_wnd
  return {
    from: endpointOf(peer),
    to: endpointOf(local),
    seq: c.receiveSeq,
    ack,
    flags,
    window: Math.max(1, window >>> c.info.sendScale),
  };
}

/**
 * What a FIN has done to a connection under repair, whose queues are there: ours that was acknowledged, the other side's
 * that has come. The socket must let nobody else's packets in ({@link guard}).
 */
export async function writeEnds(hands: Hands, netns: number, fd: number, ends: Ends, c: Connection): Promise<void> {
  const { state } = c.info;
  const ours = finAcknowledged(state);
  // With both FINs on their way ours goes first, which is sent when the connection goes on.
  const theirs = finReceived(state) && state !== STATE.CLOSING;
  if (!ours && !theirs) return;
  await Injector.with(hands, netns, async (injector) => {
    const b = hands.batch();
    if (ours) {
      const refs = [
        // Under repair what is put into this queue counts as sent.
        setOption(b, fd, TCP.REPAIR_QUEUE, int(SEND_QUEUE)),
        b.call(SYS.shutdown, fd, SHUT_WR),
        injector.add(b, fromPeer(ends, c, c.sendSeq + 1, FLAG.ACK)),
      ];
      const r = await b.run();
      for (const ref of refs) check(r.value(ref), 'ending a connection on this side');
    } else {
      const acknowledged = c.sendSeq - c.unsent.length - c.sent.length;
      const sent = injector.add(b, fromPeer(ends, c, acknowledged, FLAG.FIN | FLAG.ACK));
      const again = setOption(b, fd, TCP.REPAIR_WINDOW, c.window);
      const r = await b.run();
      for (const ref of [sent, again]) check(r.value(ref), 'ending a connection on the other side');
    }
  });
  await expectState(hands, fd, ours ? STATE.FIN_WAIT2 : STATE.CLOSE_WAIT);
}

/** When the connection has left repair and has sent what was to be sent: our FIN, and one that had crossed it. */
export async function sendEnds(hands: Hands, netns: number, fd: number, ends: Ends, c: Connection): Promise<void> {
  const { state } = c.info;
  if (!finSent(state) || finAcknowledged(state)) return;
  check(await hands.syscall(SYS.shutdown, fd, SHUT_WR), 'ending a connection on this side');
  if (state !== STATE.CLOSING) return;
  const acknowledged = c.sendSeq - c.unsent.length - c.sent.length;
  await Injector.with(hands, netns, (injector) =>
    injector.send(hands, [fromPeer(ends, c, acknowledged, FLAG.FIN | FLAG.ACK)]),
  );
}

async function expectState(hands: Hands, fd: number, state: number): Promise<void> {
  const now = (await tcpInfo(hands, fd)).state;
  if (now !== state)
    throw new DomainError('guest', `a connection that is to be ended came to state ${now}, not ${state}`);
}
