/**
 * The network device (virtio 1.2, section 5.1) with one pair of queues. What the header before every frame says is in
 * net-offload.ts.
 */
import { Chain } from './chain.js';
import { VirtioDevice, type DeviceHost } from './device.js';
import type { Virtqueue } from './queue.js';
import {
  completeSum,
  dataOffset,
  F_CSUM,
  F_GUEST_CSUM,
  F_GUEST_TSO4,
  F_HOST_TSO4,
  F_MAC,
  F_MRG_RXBUF,
  F_MTU,
  F_STATUS,
  GSO_NONE,
  GSO_TCPV4,
  HDR_F_DATA_VALID,
  HDR_F_NEEDS_CSUM,
  HEADER_SIZE,
  segmentOf,
  writeLarge,
} from './net-offload.js';

const NET_ID = 1;
const CLASS_NETWORK_ETHERNET = 0x02_0000;

const S_LINK_UP = 1;

const RX = 0;
const TX = 1;
const QUEUE_SIZE = 256;
const ETHERNET_HEADER = 14;
/** The longest frame that could be: 64 KiB behind an Ethernet header with a VLAN tag. */
const MAX_FRAME = 65_536 + ETHERNET_HEADER + 4;
/**
 * That a frame is out is news of little worth: Linux frees its memory. The interrupt for it waits so many milliseconds for
 * one that brings a frame, as an answer does, unless that many frames are out.
 */
const SENT_WAITS = 1;
const SENT_MOST = 64;
/** Buffers one received frame may be spread over. */
const MAX_RX_BUFFERS = 64;
const STATUS_AT = 6;

/** What a network device is made with. */
export interface NetOptions {
  /** Six bytes. */
  mac: Uint8Array;
  /** Largest packet in a frame in bytes, 1500 unless told. */
  mtu?: number;
  /** Frames for the guest have been checked already: it need not sum them again. */
  checksumsVerified?: boolean;
}

/** Frames and octets that went through a network device. */
export interface NetCounters {
  sent: number;
  received: number;
  /** Frames of the guest that were too short, too long or asked for what was not negotiated. */
  malformed: number;
  /** Frames to the guest that its buffers could not hold. */
  dropped: number;
}

/** A virtio network device (virtio 1.2, 5.1). */
export class VirtioNet extends VirtioDevice {
  /**
   * Called with each frame the guest sends; the array is the callee's. `segment`: not 0 for one TCP segment over IPv4
   * that stands for many, with so many octets of data each, and whose TCP checksum means nothing. False: taken, but no
   * more until `resume`.
   */
  onFrame: (frame: Uint8Array, segment: number) => boolean = () => true;
  /** Makes the array for a frame of so many bytes. Whoever passes frames on may have a place for them already. */
  frameBuffer: (length: number) => Uint8Array = (length) => new Uint8Array(length);
  /** Called when the guest has room again after `receive` returned false. */
  onRoom: () => void = () => undefined;
  readonly counters: NetCounters = { sent: 0, received: 0, malformed: 0, dropped: 0 };

  readonly #verified: boolean;
  readonly #chains: Chain[] = [new Chain(this.memory)];
  readonly #header = new Uint8Array(HEADER_SIZE);
  readonly #view = new DataView(this.#header.buffer);
  #starved = true;
  #held = false;
  /** Frames that were taken for the guest already and come before all others. */
  #carried: { readonly frame: Uint8Array; readonly segment: number }[] = [];
  /** The driver has been given a frame in this turn. */
  #answered = false;
  #sentWaits: ReturnType<typeof setTimeout> | undefined;

  constructor(
    host: DeviceHost,
    readonly options: NetOptions,
  ) {
    if (options.mac.length !== 6) throw new RangeError('a MAC address has six bytes');
    const config = new Uint8Array(12);
    config.set(options.mac);
    const view = new DataView(config.buffer);
    view.setUint16(STATUS_AT, S_LINK_UP, true);
    view.setUint16(8, 1, true);
    view.setUint16(10, options.mtu ?? 1500, true);
    const features = F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_GUEST_TSO4 | F_HOST_TSO4 | F_MRG_RXBUF | F_STATUS;
    super(host, { id: NET_ID, classCode: CLASS_NETWORK_ETHERNET, features, queues: [QUEUE_SIZE, QUEUE_SIZE], config });
    this.#verified = options.checksumsVerified === true;
  }

  /** Plugs the cable in or out. */
  setLink(up: boolean): void {
    this.changeConfig(STATUS_AT, Uint8Array.of(up ? S_LINK_UP : 0, 0));
  }

  /** The outside takes frames again after `onFrame` returned false. */
  resume(): void {
    this.#held = false;
    // In a turn of its own: two guests that send to each other would else go on for ever from here.
    if (this.running) this.again(1 << TX);
  }

  /** Whether the driver takes frames that stand for many segments, and so does whoever it has them for. */
  get acceptsLarge(): boolean {
    return this.negotiated(F_GUEST_TSO4) && this.negotiated(F_GUEST_CSUM) && this.beyondAcceptsLarge();
  }

  /** Set by a driver that passes frames on. */
  beyondAcceptsLarge: () => boolean = () => true;

  /**
   * Gives the guest a frame. False: no room now; offer it again after `onRoom`. `segment`: as `onFrame` has it; the TCP
   * checksum is overwritten. Such a frame is dropped if the driver does not take it.
   */
  receive(frame: Uint8Array, segment = 0): boolean {
    let taken = false;
    try {
      if (this.enter()) {
        taken = this.#deliverCarried() && this.#receive(frame, segment);
        this.#answered ||= taken;
        this.leave();
      }
    } catch (error) {
      // Whoever sent the frame has no part in it.
      this.crashed(error);
      return true;
    }
    this.#starved = !taken;
    return taken;
  }

  /** Frames that somebody else took for this guest and could not give it: they come first. */
  carry(frames: readonly { readonly frame: Uint8Array; readonly segment: number }[]): void {
    this.#carried.push(...frames);
  }

  override powerCycle(): void {
    // They were for the OS instance that had the card.
    this.#carried = [];
    super.powerCycle();
  }

  /** Whether the guest has all of them. */
  #deliverCarried(): boolean {
    for (let next = this.#carried[0]; next !== undefined; next = this.#carried[0]) {
      if (!this.#receive(next.frame, next.segment)) return false;
      this.#answered = true;
      this.#carried.shift();
    }
    return true;
  }

  protected override process(kicked: number): void {
    this.#answered = false;
    // Somebody may have been waiting before the state was put back.
    if (this.queues[TX].owed > 0) this.queues[TX].dirty = true;
    if ((kicked & (1 << TX)) !== 0 && !this.#held) this.#transmit();
    if ((kicked & (1 << RX)) !== 0 && !this.#deliverCarried()) return;
    if ((kicked & (1 << RX)) !== 0 && this.#starved) {
      this.#starved = false;
      this.onRoom();
    }
  }

  protected override onReset(): void {
    this.#starved = true;
  }

  protected override interruptWaits(queue: Virtqueue): boolean {
    if (queue !== this.queues[TX] || this.#answered || queue.owed >= SENT_MOST) return false;
    this.#sentWaits ??= setTimeout(() => {
      this.#sentWaits = undefined;
      try {
        if (queue.dirty && this.enter()) {
          this.#answered = true;
          this.leave();
        }
      } catch (error) {
        this.crashed(error);
      }
    }, SENT_WAITS);
    return true;
  }

  #transmit(): void {
    const queue = this.queues[TX];
    const chain = this.#chains[0];
    for (let n = 0; n < QUEUE_SIZE; n++) {
      if (!queue.pop(chain)) return;
      const length = chain.readable - HEADER_SIZE;
      let frame: Uint8Array | undefined;
      if (length >= ETHERNET_HEADER && length <= MAX_FRAME) {
        frame = this.frameBuffer(length);
        if (chain.read(0, HEADER_SIZE, this.#header) < 0 || chain.read(HEADER_SIZE, length, frame) < 0) {
          return this.fail(`queue ${TX}: a frame that is not in memory`);
        }
      }
      queue.push(chain.head, 0);
      const segment = frame === undefined ? -1 : this.#complete(frame);
      if (frame === undefined || segment < 0) {
        this.counters.malformed++;
        continue;
      }
      this.counters.sent++;
      if (!this.onFrame(frame, segment)) {
        this.#held = true;
        return;
      }
    }
    this.again(1 << TX);
  }

  /**
   * Does what the header asks (5.1.6.2): 0, or octets of data for each segment that the frame stands for; -1 if it asks
   * for what it may not.
   */
  #complete(frame: Uint8Array): number {
    const view = this.#view;
    const type = view.getUint8(1);
    if (type !== GSO_NONE) {
      const segment = type === GSO_TCPV4 && this.negotiated(F_HOST_TSO4) ? segmentOf(view, frame) : -1;
      if (segment < 0 || !this.negotiated(F_CSUM)) return -1;
      // Whoever cannot take it has it cut, which is work as well.
      this.budget.credit -= frame.length / segment;
      const tcp = view.getUint16(6, true);
      if (frame.length - tcp - dataOffset(frame, tcp) > segment) return segment;
    }
    if ((view.getUint8(0) & HDR_F_NEEDS_CSUM) === 0) return 0;
    return this.negotiated(F_CSUM) && completeSum(view, frame) ? 0 : -1;
  }

  #receive(frame: Uint8Array, segment: number): boolean {
    const queue = this.queues[RX];
    this.#header.fill(0);
    if (segment > 0) {
      if (!this.acceptsLarge || !writeLarge(this.#view, frame, segment)) {
        this.counters.dropped++;
        return true;
      }
    } else if (this.#verified && this.negotiated(F_GUEST_CSUM)) this.#view.setUint8(0, HDR_F_DATA_VALID);
    const needed = HEADER_SIZE + frame.length;
    const most = this.negotiated(F_MRG_RXBUF) ? MAX_RX_BUFFERS : 1;
    let count = 0;
    for (let room = 0; room < needed; count++) {
      if (count === most) {
        // Buffers too small for this frame; the next may be shorter.
        queue.rewind(count);
        this.counters.dropped++;
        return true;
      }
      if (count === this.#chains.length) this.#chains.push(new Chain(this.memory));
      if (!queue.pop(this.#chains[count])) {
        queue.rewind(count);
        return false;
      }
      const { writable } = this.#chains[count];
      // The header is not split (5.1.6.3.1).
      if (count === 0 && writable < HEADER_SIZE) {
        this.fail(`queue ${RX}: a receive buffer of ${writable} bytes`);
        return false;
      }
      room += writable;
    }
    this.#view.setUint16(10, count, true);
    let done = 0;
    for (let i = 0; i < count; i++) {
      const chain = this.#chains[i];
      const skip = i === 0 ? HEADER_SIZE : 0;
      const n = Math.min(chain.writable - skip, frame.length - done);
      if ((i === 0 && chain.write(0, HEADER_SIZE, this.#header) < 0) || chain.write(skip, n, frame, done) < n) {
        this.fail(`queue ${RX}: a receive buffer that is not in memory`);
        return false;
      }
      queue.put(chain.head, skip + n);
      done += n;
    }
    queue.publish();
    this.counters.received++;
    return true;
  }
}
