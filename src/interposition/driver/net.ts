/**
 * The monitor's driver of a network card (virtio 1.2, 5.1): frames out and in, the header in front of each as the card
 * gives and takes it. Its two queues lie over buffers of the monitor's own:
 *
 *   receive    32 × 66 KiB, one for each frame; the card's again once the frame has been taken out
 *   transmit   16 × 66 KiB, one for each frame
 */
import * as n from '../../computer/virtio/net-offload.js';
import type { VirtioNet } from '../../computer/virtio/net.js';
import { InterpositionError } from '../errors.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { Driver } from './driver.js';

const RX = 0;
const TX = 1;
const QUEUE_SIZE = 256;
/** The longest frame that a card knows, and its header. */
const BUFFER = 66 * 1024;
const RX_BUFFERS = 32;
const TX_BUFFERS = 16;
export const NET_DRIVER_BYTES = (RX_BUFFERS + TX_BUFFERS) * BUFFER + 64 * 1024;
/** Frames that wait for the OS to have room: no more buffers are offered to the card then. */
const MOST_WAITING = 64;

/** A frame as it passes through the monitor. */
export interface PassingFrame {
  readonly frame: Uint8Array;
  /** Octets of data in each segment that the frame stands for; 0: it is just itself. */
  readonly segment: number;
}

/** The monitor's driver of a network card. */
export class NetDriver extends Driver {
  /**
   * Told of each frame from outside, whose bytes are the driver's again when the call is over. False: there is no room for
   * it now, it is offered again after `wanted`.
   */
  onFrame: (frame: PassingFrame) => boolean = () => true;
  /** The card takes frames again after `send` said false. */
  onRoom: () => void = () => undefined;

  /** Free transmit buffers. */
  readonly #free: number[] = [];
  /** By head: the transmit buffer of a frame. */
  readonly #sent = new Map<number, number>();
  /** By head: the receive buffer that the card has. */
  readonly #offered = new Map<number, number>();
  /** Receive buffers that are not offered, because too much waits. */
  readonly #kept: number[] = [];
  /** Frames that nobody had room for yet. */
  readonly #waiting: PassingFrame[] = [];
  #full = false;

  constructor(device: VirtioNet, memory: MonitorMemory) {
    super(device, memory, n.F_CSUM | n.F_GUEST_CSUM | n.F_GUEST_TSO4 | n.F_HOST_TSO4 | n.F_MRG_RXBUF);
    this.takeOver([QUEUE_SIZE, QUEUE_SIZE]);
    for (let i = 0; i < TX_BUFFERS; i++) this.#free.push(memory.take(BUFFER));
    for (let i = 0; i < RX_BUFFERS; i++) this.#kept.push(memory.take(BUFFER));
    this.#offer();
  }

  /** Where a frame of so many bytes may be put that is sent next: `send` then has nothing to copy. */
  buffer(length: number): Uint8Array {
    const at = this.#free.at(-1);
    if (at === undefined || n.HEADER_SIZE + length > BUFFER) return new Uint8Array(length);
    return this.memory.bytes.subarray(at + n.HEADER_SIZE, at + n.HEADER_SIZE + length);
  }

  /** Sends a frame; its bytes are copied, unless they are where `buffer` said. False: taken, but no more until `onRoom`. */
  send({ frame, segment }: PassingFrame): boolean {
    if (this.failure !== undefined) return true;
    this.attempt(() => this.#send(frame, segment));
    return !this.#full;
  }

  #send(frame: Uint8Array, segment: number): void {
    const { bytes, view } = this.memory;
    const at = this.#free.pop();
    if (at === undefined || n.HEADER_SIZE + frame.length > BUFFER) {
      throw new InterpositionError('state', `a frame of ${frame.length} bytes was sent for which there is no buffer`);
    }
    const header = new DataView(view.buffer, at, n.HEADER_SIZE);
    bytes.fill(0, at, at + n.HEADER_SIZE);
    if (segment > 0) n.writeLarge(header, frame, segment);
    const isThere = frame.buffer === bytes.buffer && frame.byteOffset === at + n.HEADER_SIZE;
    if (!isThere) bytes.set(frame, at + n.HEADER_SIZE);
    this.#sent.set(this.queues[TX].add([{ at, length: n.HEADER_SIZE + frame.length, write: false }]), at);
    this.kick(TX);
    this.#harvestSent();
    this.#full = this.#free.length === 0;
  }

  /** The OS has room again for what `onFrame` said false to. */
  wanted(): void {
    this.attempt(() => this.#pass());
  }

  /** Frames from outside that the OS has not got; they are the caller's from now on. */
  takeWaiting(): readonly PassingFrame[] {
    this.attempt(() => this.#collect(false));
    return this.#waiting.splice(0);
  }

  get goesOn(): string | undefined {
    return this.#sent.size > 0 ? 'frames under way' : undefined;
  }

  protected override onFailed(): void {
    // They may have gone or not, as on any network.
    this.#sent.clear();
    this.#full = false;
    this.onRoom();
  }

  protected override finished(): void {
    this.#harvestSent();
    this.#collect(true);
    this.#pass();
    if (this.#full && this.#free.length > 0) {
      this.#full = false;
      this.onRoom();
    }
  }

  #harvestSent(): void {
    for (let done = this.queues[TX].next(); done !== undefined; done = this.queues[TX].next()) {
      this.#free.push(this.#sent.get(done.head) ?? 0);
      this.#sent.delete(done.head);
    }
  }

  /** Takes what the card has received out of its buffers, and passes on (`pass`) what there is room for. */
  #collect(pass: boolean): void {
    const { bytes, view } = this.memory;
    const queue = this.queues[RX];
    for (let first = queue.next(); first !== undefined; first = queue.next()) {
      const at = this.#given(first.head);
      const header = new DataView(view.buffer, at, n.HEADER_SIZE);
      const count = header.getUint16(10, true);
      const segment = header.getUint8(1) === n.GSO_TCPV4 ? header.getUint16(4, true) : 0;
      // Each buffer has room for the longest frame: none is spread over several.
      if (count !== 1) throw new InterpositionError('state', `a frame came in ${count} buffers`);
      const frame = bytes.subarray(at + n.HEADER_SIZE, at + Math.max(n.HEADER_SIZE, first.written));
      if (pass && this.#waiting.length === 0 && this.onFrame({ frame, segment })) continue;
      this.#waiting.push({ frame: frame.slice(), segment });
    }
  }

  #given(head: number): number {
    const at = this.#offered.get(head);
    if (at === undefined)
      throw new InterpositionError('state', `the card filled buffer ${head}, which it was not given`);
    this.#offered.delete(head);
    this.#kept.push(at);
    return at;
  }

  #pass(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.onFrame(next)) break;
      this.#waiting.shift();
    }
    if (this.#waiting.length < MOST_WAITING) this.#offer();
  }

  #offer(): void {
    const queue = this.queues[RX];
    let any = false;
    for (let at = this.#kept.pop(); at !== undefined; at = this.#kept.pop()) {
      this.#offered.set(queue.add([{ at, length: BUFFER, write: true }]), at);
      any = true;
    }
    if (any) this.kick(RX);
  }
}
