/**
 * The monitor's driver of a console with several ports (virtio 1.2, 5.3). It knows the ports from the device's own
 * options; what it is told by control messages is what changes: a size, a port that comes, an end that is closed.
 */
import type { VirtioConsole } from '../../computer/virtio/console.js';
import * as c from '../../computer/virtio/console-format.js';
import type { MonitorMemory } from '../monitor-memory.js';
import { Driver } from './driver.js';

const PORT_BUFFERS = 4;
const PORT_BUFFER = 1024;
const CONTROL_BUFFERS = 16;
const CONTROL_BUFFER = 256;
const QUEUE_SIZE = 16;
const PORTS = 15;
export const CONSOLE_DRIVER_BYTES =
  PORTS * 2 * PORT_BUFFERS * PORT_BUFFER + 2 * CONTROL_BUFFERS * CONTROL_BUFFER + 64 * 1024;

/** What the driver passes on. */
export interface ConsoleEvents {
  /** Bytes for the guest from port `p`. False: no more buffers are offered until `wanted(p)`. */
  data(p: number, bytes: Uint8Array): boolean;
  /** Port `p` takes bytes again after `transmit` said false. */
  room(p: number): void;
  /** A port that was to come later has come. */
  added(p: number): void;
  /** The host's end of a port is closed. */
  closed(p: number): void;
}

/** One direction of one port. */
interface Lane {
  readonly free: number[];
  /** By head: the buffer. */
  readonly given: Map<number, number>;
}

const lane = (): Lane => ({ free: [], given: new Map() });

/** The monitor's driver of a console. */
export class ConsoleDriver extends Driver {
  readonly #events: ConsoleEvents;
  readonly #receive: Lane[] = [];
  readonly #transmit: (Lane & { readonly waiting: Uint8Array[] })[] = [];
  readonly #controlIn = lane();
  readonly #controlOut = lane();
  readonly #orders: Uint8Array[] = [];
  /** Ports whose guest has no room. */
  readonly #stopped = new Set<number>();

  constructor(device: VirtioConsole, memory: MonitorMemory, events: ConsoleEvents) {
    super(device, memory, c.F_SIZE | c.F_MULTIPORT);
    this.#events = events;
    const { ports } = device;
    const open = ports.reduce((bits, { index }) => (device.isOpen(index) ? bits | (1 << index) : bits), 0);
    const sizes = Array.from({ length: 2 + 2 * ports.length }, () => QUEUE_SIZE);
    this.takeOver(sizes);
    device.assumeOpen(open);
    for (const { index } of ports) {
      this.#receive[index] = lane();
      this.#transmit[index] = { ...lane(), waiting: [] };
      for (let i = 0; i < PORT_BUFFERS; i++) {
        this.#receive[index].free.push(memory.take(PORT_BUFFER));
        this.#transmit[index].free.push(memory.take(PORT_BUFFER));
      }
      this.#offer(index);
    }
    for (let i = 0; i < CONTROL_BUFFERS; i++) {
      this.#controlIn.free.push(memory.take(CONTROL_BUFFER));
      this.#controlOut.free.push(memory.take(CONTROL_BUFFER));
    }
    this.#offerControl();
  }

  /** Sends bytes of the guest out of a port. False: taken, but no more until `room`. */
  transmit(p: number, bytes: Uint8Array): boolean {
    const to = this.#transmit[p];
    if (this.failure !== undefined || to === undefined) return true;
    for (let at = 0; at < bytes.length; at += PORT_BUFFER) to.waiting.push(bytes.subarray(at, at + PORT_BUFFER));
    this.attempt(() => this.#send(p));
    return to.waiting.length === 0;
  }

  /** The guest has opened its end of a port, or closed it. */
  open(p: number, open: boolean): void {
    if (this.failure !== undefined) return;
    const message = new Uint8Array(c.CONTROL_SIZE);
    const view = new DataView(message.buffer);
    view.setUint32(0, p, true);
    view.setUint16(4, c.PORT_OPEN, true);
    view.setUint16(6, open ? 1 : 0, true);
    this.#orders.push(message);
    this.attempt(() => this.#order());
  }

  /** The guest has room again for a port's bytes. */
  wanted(p: number): void {
    this.#stopped.delete(p);
    this.attempt(() => this.#offer(p));
  }

  /** Takes what the device has given, and offers it no more buffers: the last thing that is asked of the driver. */
  finish(): void {
    for (let p = 0; p < this.#receive.length; p++) this.#stopped.add(p);
    this.look();
  }

  get goesOn(): string | undefined {
    const sends = this.#transmit.some(({ waiting, given }) => waiting.length > 0 || given.size > 0);
    if (sends) return 'text on its way';
    return this.#orders.length > 0 || this.#controlOut.given.size > 0 ? 'a control exchange' : undefined;
  }

  protected override onFailed(): void {
    for (const to of this.#transmit) {
      to.waiting.length = 0;
      to.given.clear();
    }
    this.#controlOut.given.clear();
    this.#orders.length = 0;
  }

  protected override finished(): void {
    const queueOf = (q: number): (typeof this.queues)[number] => this.queues[q];
    this.#receive.forEach((from, p) => {
      const queue = queueOf(c.rxQueue(p));
      for (let done = queue.next(); done !== undefined; done = queue.next()) {
        const at = from.given.get(done.head) ?? 0;
        from.given.delete(done.head);
        from.free.push(at);
        if (!this.#events.data(p, this.memory.bytes.slice(at, at + done.written))) this.#stopped.add(p);
      }
      this.#offer(p);
    });
    this.#transmit.forEach((to, p) => {
      const had = to.waiting.length > 0;
      this.#reap(c.txQueue(p), to);
      this.#send(p);
      if (had && to.waiting.length === 0) this.#events.room(p);
    });
    const orders = queueOf(c.CONTROL_RX);
    for (let done = orders.next(); done !== undefined; done = orders.next()) {
      const at = this.#controlIn.given.get(done.head) ?? 0;
      this.#controlIn.given.delete(done.head);
      this.#controlIn.free.push(at);
      this.#told(this.memory.bytes.slice(at, at + done.written));
    }
    this.#offerControl();
    this.#reap(c.CONTROL_TX, this.#controlOut);
    this.#order();
  }

  #reap(q: number, to: Lane): void {
    const queue = this.queues[q];
    for (let done = queue.next(); done !== undefined; done = queue.next()) {
      to.free.push(to.given.get(done.head) ?? 0);
      to.given.delete(done.head);
    }
  }

  #told(message: Uint8Array): void {
    if (message.length < c.CONTROL_SIZE) return;
    const view = new DataView(message.buffer);
    const p = view.getUint32(0, true);
    const event = view.getUint16(4, true);
    if (event === c.DEVICE_ADD) this.#events.added(p);
    else if (event === c.PORT_OPEN && view.getUint16(6, true) === 0) this.#events.closed(p);
    // A size is in the configuration as well.
  }

  #offer(p: number): void {
    const from = this.#receive[p];
    if (from === undefined || this.#stopped.has(p)) return;
    this.#give(c.rxQueue(p), from, PORT_BUFFER);
  }

  #offerControl(): void {
    this.#give(c.CONTROL_RX, this.#controlIn, CONTROL_BUFFER);
  }

  #give(q: number, to: Lane, length: number): void {
    let any = false;
    for (let at = to.free.pop(); at !== undefined; at = to.free.pop()) {
      to.given.set(this.queues[q].add([{ at, length, write: true }]), at);
      any = true;
    }
    if (any) this.kick(q);
  }

  #send(p: number): void {
    const to = this.#transmit[p];
    if (to === undefined) return;
    if (this.#put(c.txQueue(p), to, to.waiting)) this.kick(c.txQueue(p));
  }

  #order(): void {
    if (this.#put(c.CONTROL_TX, this.#controlOut, this.#orders)) this.kick(c.CONTROL_TX);
  }

  /** Puts as many messages into a queue as there are buffers for; whether it was any. */
  #put(q: number, to: Lane, messages: Uint8Array[]): boolean {
    let any = false;
    while (messages.length > 0 && to.free.length > 0) {
      const at = to.free.pop() ?? 0;
      const message = messages.shift() ?? new Uint8Array(0);
      this.memory.bytes.set(message, at);
      to.given.set(this.queues[q].add([{ at, length: message.length, write: false }]), at);
      any = true;
    }
    return any;
  }
}
