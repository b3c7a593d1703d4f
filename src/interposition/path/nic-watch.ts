/** Frames on their way are counted, and written down. */
import { get16 } from '../../net/wire/bytes.js';
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4 } from '../../net/wire/ethernet.js';
import type { FrameDirection, FrameKind } from './nic-types.js';
import { tell } from './listener.js';
import { interfaceBlock, packetBlock, sectionHeader } from './pcapng.js';

const IPV4_PROTOCOL = ETHERNET_HEADER + 9;
const PROTOCOLS: Readonly<Record<number, FrameKind | undefined>> = { 1: 'icmp', 6: 'tcp', 17: 'udp' };

/** What a frame is, by what its headers say. */
export function kindOf(frame: Uint8Array): FrameKind {
  if (frame.length < ETHERNET_HEADER) return 'other';
  const type = get16(frame, 12);
  if (type === TYPE_ARP) return 'arp';
  if (type !== TYPE_IPV4 || frame.length <= IPV4_PROTOCOL) return 'other';
  return PROTOCOLS[frame[IPV4_PROTOCOL]] ?? 'ipv4';
}

export class FrameCounter {
  readonly counts: Record<FrameKind, number> = { arp: 0, tcp: 0, udp: 0, icmp: 0, ipv4: 0, other: 0 };
  readonly frames = { in: 0, out: 0 };
  readonly bytes = { in: 0, out: 0 };
  broken: unknown;
  #sink: ((bytes: Uint8Array) => void) | undefined;
  /** Names of those who use the card, by the number of their interface in the file. */
  readonly #interfaces: string[] = [];

  constructor(sink: (bytes: Uint8Array) => void) {
    this.#sink = sink;
  }

  /** The file begins, with one who uses the card; `title`: what the file calls it. */
  begin(name: string, title: string): void {
    const header = sectionHeader();
    const first = interfaceBlock(title);
    const both = new Uint8Array(header.length + first.length);
    both.set(header);
    both.set(first, header.length);
    this.#interfaces.push(name);
    this.#write(both);
  }

  /** A frame of who uses the card under that name. A large frame is written down as it is, in the place of many. */
  hear(name: string, frame: Uint8Array, direction: FrameDirection): void {
    this.counts[kindOf(frame)]++;
    this.frames[direction]++;
    this.bytes[direction] += frame.length;
    if (this.#sink === undefined) return;
    let index = this.#interfaces.indexOf(name);
    if (index < 0) {
      index = this.#interfaces.push(name) - 1;
      this.#write(interfaceBlock(name));
    }
    const at = Math.round((performance.timeOrigin + performance.now()) * 1000);
    this.#write(packetBlock(index, at, frame, direction));
  }

  #write(bytes: Uint8Array): void {
    tell(
      () => this.#sink?.(bytes),
      (error) => {
        // Whoever looks on has no part in the frame.
        this.#sink = undefined;
        this.broken = error;
      },
    );
  }
}
