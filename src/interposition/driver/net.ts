/**
 * The monitor's driver of a network card (virtio 1.2, 5.1): frames out and in, the header in front of each as the card
 * gives and takes it. Its two queues lie over buffers of the monitor's own:
 *
 *   receive    128 × 2 KiB, several for a frame that is longer; the card's again once the frame has been taken out
 *   transmit   128 × 2 KiB, as many as a frame needs
 */
import * as n from '../../computer/virtio/net-offload.js';
import type { VirtioNet } from '../../computer/virtio/net.js';
import { InterpositionError } from '../errors.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { Driver } from './driver.js';

const RX = 0;
const TX = 1;
const QUEUE_SIZE = 256;
const BUFFER = 2048;
const BUFFERS = 128;
export const NET_DRIVER_BYTES = 2 * BUFFERS * BUFFER + 32 * 1024;
/** Frames that wait for the OS to have room: no more buffers are offered to the card then. */
const MOST_WAITING = 64;

/** A frame as it passes through the monitor. */
export interface PassingFrame {
  readonly frame: Uint8Array;
  /** Octets of data in each segment that the frame stands for; 0: it is just itself. */
  readonly segment: number;
}

export class NetDriver extends Driver {
  /** Told of each frame from outside. False: there is no room for it now, it is offered again after `wanted`. */
  onFrame: (frame: PassingFrame) => boolean = () => true;
  /** The card takes frames again after `send` said false. */
  onRoom: () => void = () => undefined;

  /** Free transmit buffers. */
  readonly #free: number[] = [];
  /** By head: the transmit buffers of a frame. */
  readonly #sent = new Map<number, readonly number[]>();
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
    for (let i = 0; i < BUFFERS; i++) {
      this.#free.push(memory.take(BUFFER, BUFFER));
      this.#kept.push(memory.take(BUFFER, BUFFER));
    }
    this.#offer();
  }

  /** Sends a frame; its bytes are copied. False: taken, but no more until `onRoom`. */
  send({ frame, segment }: PassingFrame): boolean {
    if (this.failure !== undefined) return true;
    this.attempt(() => this.#send(frame, segment));
    return !this.#full;
  }

  #send(frame: Uint8Array, segment: number): void {
    const { bytes, view } = this.memory;
    const total = n.HEADER_SIZE + frame.length;
    const count = Math.ceil(total / BUFFER);
    // With half of the buffers left the longest frame still has its place.
    if (count > this.#free.length || count > this.queues[TX].room) {
      throw new InterpositionError('state', `a frame of ${frame.length} bytes was sent though there was no room`);
    }
    const buffers = this.#free.splice(this.#free.length - count, count);
    const first = buffers[0] ?? 0;
    const header = new DataView(view.buffer, first, n.HEADER_SIZE);
    for (let i = 0; i < n.HEADER_SIZE; i++) header.setUint8(i, 0);
    if (segment > 0) n.writeLarge(header, frame, segment);
    let done = 0;
    const chain = buffers.map((at, i) => {
      const skip = i === 0 ? n.HEADER_SIZE : 0;
      const length = Math.min(BUFFER - skip, frame.length - done);
      bytes.set(frame.subarray(done, done + length), at + skip);
      done += length;
      return { at, length: skip + length, write: false };
    });
    this.#sent.set(this.queues[TX].add(chain), buffers);
    this.kick(TX);
    this.#harvestSent();
    this.#full = this.#free.length < BUFFERS / 2 || this.queues[TX].room < BUFFERS / 2;
  }

  /** The OS has room again for what `onFrame` said false to. */
  wanted(): void {
    this.attempt(() => this.#pass());
  }

  /** Frames from outside that the OS has not got; they are the caller's from now on. */
  takeWaiting(): readonly PassingFrame[] {
    this.attempt(() => this.#collect());
    return this.#waiting.splice(0);
  }

  get goesOn(): string | undefined {
    return this.#sent.size > 0 ? 'frames under way' : undefined;
  }

  protected override onFailed(): void {
    this.#full = false;
    this.onRoom();
  }

  protected override finished(): void {
    this.#harvestSent();
    this.#collect();
    this.#pass();
    if (this.#full && this.#free.length >= BUFFERS / 2 && this.queues[TX].room >= BUFFERS / 2) {
      this.#full = false;
      this.onRoom();
    }
  }

  #harvestSent(): void {
    for (let done = this.queues[TX].next(); done !== undefined; done = this.queues[TX].next()) {
      this.#free.push(...(this.#sent.get(done.head) ?? []));
      this.#sent.delete(done.head);
    }
  }

  /** Takes what the card has received out of its buffers. */
  #collect(): void {
    const { bytes, view } = this.memory;
    const queue = this.queues[RX];
    for (let first = queue.next(); first !== undefined; first = queue.next()) {
      const at = this.#given(first.head);
      const header = new DataView(view.buffer, at, n.HEADER_SIZE);
      const count = header.getUint16(10, true);
      const segment = header.getUint8(1) === n.GSO_TCPV4 ? header.getUint16(4, true) : 0;
      const parts = [bytes.subarray(at + n.HEADER_SIZE, at + Math.max(n.HEADER_SIZE, first.written))];
      for (let i = 1; i < count; i++) {
        const next = queue.next();
        if (next === undefined) throw new InterpositionError('state', `a frame of ${count} buffers came in ${i}`);
        const from = this.#given(next.head);
        parts.push(bytes.subarray(from, from + next.written));
      }
      const frame = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let done = 0;
      for (const part of parts) {
        frame.set(part, done);
        done += part.length;
      }
      this.#waiting.push({ frame, segment });
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
