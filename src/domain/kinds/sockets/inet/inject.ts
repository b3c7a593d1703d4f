import type { Batch, Ref } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { closeAll } from '../../../linux/making.js';
import { check } from '../../../linux/os.js';
import { makeSocket } from '../make-socket.js';
import { socketAddress } from './address.js';
import { segmentPacket, type Segment } from './segment.js';
import { AF_INET, AF_INET6, SOCK_RAW } from '../../../linux/socket-numbers.js';

const IPPROTO_RAW = 255;

/**
 * Sends packets into a domain's network namespace, to its own addresses, in the name of whoever they say that they are
 * from. The kernel has dealt with a packet when the call that sends it comes back: it goes across the loopback
 * interface, where it takes no other way.
 */
export class Injector {
  private constructor(
    private readonly v4: number,
    private readonly v6: number,
  ) {}

  static async with<T>(hands: Hands, netns: number, work: (injector: Injector) => Promise<T>): Promise<T> {
    const v4 = await makeSocket(hands, netns, AF_INET, SOCK_RAW, IPPROTO_RAW);
    // A kernel may have no IPv6.
    const v6 = await makeSocket(hands, netns, AF_INET6, SOCK_RAW, IPPROTO_RAW).catch(() => -1);
    try {
      return await work(new Injector(v4, v6));
    } finally {
      await closeAll(hands, [v4, v6]);
    }
  }

  add(b: Batch, segment: Segment): Ref {
    return this.addPacket(b, segmentPacket(segment), segment.to.address);
  }

  addPacket(b: Batch, packet: Uint8Array, to: Uint8Array): Ref {
    const address = socketAddress({ address: to, port: 0 });
    const fd = to.length === 4 ? this.v4 : this.v6;
    return b.call(SYS.sendto, fd, b.bytes(packet), packet.length, 0, b.bytes(address), address.length);
  }

  async send(hands: Hands, segments: readonly Segment[]): Promise<void> {
    const b = hands.batch();
    const refs = segments.map((s) => this.add(b, s));
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), 'sending a packet in the name of another');
  }
}
