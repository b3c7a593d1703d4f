/**
 * The console device (virtio 1.2, section 5.3) with several ports. Port 0 and any
 * other marked so is a console (hvc0 …); the rest are byte streams that the guest
 * finds by name under /dev/virtio-ports.
 *
 * Own state:
 *
 *   0xc00  1: the driver handles control messages
 *   0xc04  bit p: the guest has port p open
 *   0xc08  bit p: port p, which was to come later, has come
 *   0xc0c  bit p: the host's end of port p is closed for good
 *   0xc50  bit p: the driver has port p ready
 *   0xc10  port 0 … 14    word: control messages still owed to the driver, OWE_* bits
 */
import { Chain } from './chain.js';
import {
  CONSOLE_PORT,
  CONTROL_RX,
  CONTROL_SIZE,
  CONTROL_TX,
  DEVICE_ADD,
  DEVICE_READY,
  F_MULTIPORT,
  F_SIZE,
  PORT_NAME,
  PORT_OPEN,
  PORT_READY,
  RESIZE,
  rxQueue,
  txQueue,
} from './console-format.js';
import { ConsoleOutput } from './console-output.js';
import { ConsolePort, type PortOwner } from './console-port.js';
import { VirtioDevice, type DeviceHost } from './device.js';
import * as s from './state.js';

const CONSOLE_ID = 3;
/** Its PCI device id (4.1.2). */
export const CONSOLE_DEVICE = 0x1040 + CONSOLE_ID;
const CLASS_COMMUNICATION_OTHER = 0x07_8000;
/** 32 queues: two for each port and two for control. */
export const MAX_PORTS = 15;

const CONTROL_QUEUE_SIZE = 16;
/** Linux fills a receive queue with whole pages, so a longer one costs the guest memory. */
const RX_QUEUE_SIZE = 16;
const TX_QUEUE_SIZE = 32;

const READY = s.OWN;
const OPEN = s.OWN + 0x04;
const ANNOUNCED = s.OWN + 0x08;
const CLOSED = s.OWN + 0x0c;
const OWED = s.OWN + 0x10;
const SHOWN = s.OWN + 0x50;
const OWE_ADD = 1;
const OWE_CONSOLE = 2;
const OWE_NAME = 4;
const OWE_OPEN = 8;
const OWE_RESIZE = 16;
const OWE_CLOSE = 32;

/** A further port of a console device, which the guest finds by its name. */
export interface PortOptions {
  /** Name under /dev/virtio-ports. */
  name?: string;
  /** A console (hvc) rather than a plain port. Port 0 always is one. */
  console?: boolean;
  /** The guest does not see it before `announce`. */
  later?: boolean;
}

/** What a console device is made with. */
export interface ConsoleOptions {
  /** One for each port, at least one. */
  ports: readonly PortOptions[];
  columns?: number;
  rows?: number;
  /**
   * Milliseconds in which what a console prints is gathered before it is passed on, 0 unless told. Linux prints line by
   * line and byte by byte, and waking the main thread costs more than all the rest of it.
   */
  gather?: number;
}

/** A virtio console device (virtio 1.2, 5.3) with one or several ports. */
export class VirtioConsole extends VirtioDevice implements PortOwner {
  readonly ports: readonly ConsolePort[];
  /** As in the options; 0 when nothing more is to come. */
  gather: number;
  readonly #names: readonly Uint8Array[];
  readonly #consoles: readonly boolean[];
  readonly #later: readonly boolean[];
  readonly #chain = new Chain(this.memory);
  readonly #output: ConsoleOutput;
  readonly #host: DeviceHost;
  readonly #message = new Uint8Array(256);
  /** Transmit queues of consoles, whose text may be gathered. */
  readonly #printing: number;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  /** When text was last passed on. */
  #passedOn = 0;
  #columns: number;
  #rows: number;

  constructor(
    host: DeviceHost,
    readonly options: ConsoleOptions,
  ) {
    const count = options.ports.length;
    if (count < 1 || count > MAX_PORTS) throw new RangeError(`a console has 1 to ${MAX_PORTS} ports`);
    const config = new Uint8Array(12);
    const view = new DataView(config.buffer);
    view.setUint16(0, options.columns ?? 80, true);
    view.setUint16(2, options.rows ?? 24, true);
    view.setUint32(4, count, true);
    const queues = [RX_QUEUE_SIZE, TX_QUEUE_SIZE, CONTROL_QUEUE_SIZE, CONTROL_QUEUE_SIZE];
    for (let p = 1; p < count; p++) queues.push(RX_QUEUE_SIZE, TX_QUEUE_SIZE);
    super(host, {
      id: CONSOLE_ID,
      classCode: CLASS_COMMUNICATION_OTHER,
      features: F_SIZE | F_MULTIPORT,
      queues,
      config,
    });
    this.#output = new ConsoleOutput(host);
    this.#host = host;
    this.#names = options.ports.map((p) => new TextEncoder().encode(p.name ?? '').slice(0, 200));
    this.#consoles = options.ports.map((p, i) => i === 0 || p.console === true);
    this.#later = options.ports.map((p) => p.later === true);
    this.gather = options.gather ?? 0;
    this.#printing = this.#consoles.reduce((bits, is, i) => (is ? bits | (1 << txQueue(i)) : bits), 0);
    // A state that was put back has a size of its own.
    const { buffer, byteOffset } = this.configuration();
    const size = new DataView(buffer, byteOffset);
    this.#columns = size.getUint16(0, true);
    this.#rows = size.getUint16(2, true);
    this.#output.spinning(this.#consoles.reduce((bits, is, i) => (is ? bits | (1 << i) : bits), 0));
    this.ports = options.ports.map((p, i) => new ConsolePort(this, i, p.name ?? ''));
  }

  /** Tells the guest the size of the terminal behind its consoles. */
  resize(columns: number, rows: number): void {
    this.#columns = columns;
    this.#rows = rows;
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint16(0, columns, true);
    new DataView(size.buffer).setUint16(2, rows, true);
    this.changeConfig(0, size);
    this.#consoles.forEach((is, p) => {
      // A console that is not open yet is told when it opens.
      if (is && this.isOpen(p)) this.#owe(p, OWE_RESIZE);
    });
    this.#turn(() => this.#sendOwed());
  }

  override adoptConfiguration(bytes: Uint8Array): void {
    const size = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [columns, rows] = [size.getUint16(0, true), size.getUint16(2, true)];
    if (columns !== this.#columns || rows !== this.#rows) this.resize(columns, rows);
  }

  /** Has the guest find a port that was to come later. */
  announce(port: number): void {
    if (this.#isThere(port)) return;
    this.store(ANNOUNCED, this.load(ANNOUNCED) | (1 << port));
    // A driver that has not begun yet is told of it with all others.
    if (this.load(READY) === 1) this.#owe(port, OWE_ADD);
    if (!this.enter()) return;
    this.#sendOwed();
    this.leave();
  }

  isOpen(port: number): boolean {
    if (!this.running) return false;
    if (!this.negotiated(F_MULTIPORT)) return port === 0;
    return (this.load(OPEN) & (1 << port)) !== 0;
  }

  deliver(port: ConsolePort): void {
    this.#turn(() => this.#deliver(port));
  }

  #turn(work: () => void): void {
    try {
      if (!this.enter()) return;
      work();
      this.leave();
    } catch (error) {
      this.crashed(error);
    }
  }

  hold(port: ConsolePort, on: boolean): void {
    this.#output.hold(port.index, on);
    // What its queue has is taken in a turn of its own: whoever lets go may be a listener.
    if (!on && !this.detached) this.again(1 << txQueue(port.index));
  }

  override poll(): void {
    // What harts have taken from the driver is passed on though the device is held.
    if (!this.detached && this.load(s.HELD) !== 0 && !this.#output.isEmpty) this.#takeOutput(0);
    if (!this.#gathers()) super.poll();
  }

  override goesOn(): string | undefined {
    return super.goesOn() ?? (this.#owesControl() ? 'a control exchange' : undefined);
  }

  override goesOnInside(): string | undefined {
    return super.goesOnInside() ?? (this.#output.isEmpty ? undefined : 'text on its way');
  }

  /** Whether the driver is yet to be told something, or to answer. */
  #owesControl(): boolean {
    if (this.load(READY) !== 1 || !this.negotiated(F_MULTIPORT)) return false;
    const shown = this.load(SHOWN);
    return this.ports.some(
      ({ index: p }) => this.#isThere(p) && (this.load(OWED + 4 * p) !== 0 || (shown & (1 << p)) === 0),
    );
  }

  override goOn(): void {
    this.#output.moveTo(this.#host.outputRing);
    for (const port of this.ports) if (port.isHeld) this.#output.hold(port.index, true);
    super.goOn();
  }

  /**
   * For a driver that has what it needs to know of the ports from elsewhere: all that are there have been shown to it, and
   * these (a bit for each) are open.
   */
  assumeOpen(open: number): void {
    this.store(READY, 1);
    this.store(OPEN, open);
    this.store(
      SHOWN,
      this.ports.reduce((bits, { index }) => (this.#isThere(index) ? bits | (1 << index) : bits), 0),
    );
    for (const { index } of this.ports) this.store(OWED + 4 * index, 0);
  }

  override powerCycle(): void {
    // It was for the OS instance that had the console.
    for (const port of this.ports) port.drop();
    super.powerCycle();
  }

  /** Leaves what a console has printed for a moment longer. Its queues stay kicked, so that no doorbell rings for more. */
  #gathers(): boolean {
    // Without the harts' ring whoever prints has gathered already.
    if (this.gather === 0 || this.detached || this.#host.outputRing === undefined) return false;
    const kicked = this.load(s.KICKED);
    if (kicked === 0 || (kicked & ~this.#printing) !== 0 || this.load(s.RESET_PENDING) !== 0) return false;
    if (this.#output.isPressing || performance.now() - this.#passedOn >= this.gather) return false;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.again(0);
    }, this.gather);
    return true;
  }

  protected override process(kicked: number): void {
    if (this.negotiated(F_MULTIPORT)) {
      if ((kicked & (1 << CONTROL_TX)) !== 0) this.#control();
      this.#sendOwed();
    }
    for (const port of this.ports) {
      port.noticeOpen();
      if ((kicked & (1 << rxQueue(port.index))) !== 0) this.#deliver(port);
    }
    this.#takeOutput(kicked);
  }

  protected override onReset(): void {
    // What harts have taken from the driver has been said.
    this.#takeOutput(0);
    for (const port of this.ports) port.noticeOpen();
  }

  /** What the guest has written to its ports. */
  #takeOutput(kicked: number, closed = 0): void {
    const { pieces, more, wake, problem } = this.#output.drain(kicked, closed);
    if (pieces.length > 0) this.#passedOn = performance.now();
    if (wake) this.#host.wakeHarts();
    for (const [port, bytes] of pieces) this.ports[port]?.deliver(bytes);
    if (problem !== undefined) this.fail(problem);
    else if (more !== 0) this.again(more);
  }

  #deliver(port: ConsolePort): void {
    if (port.finished) return this.#close(port.index);
    if (!this.isOpen(port.index)) return;
    const queue = this.queues[rxQueue(port.index)];
    // A driver that offers empty buffers for ever does not keep us here.
    for (let n = 0; n < 4 * RX_QUEUE_SIZE && port.backlog > 0 && queue.pop(this.#chain); n++) {
      const bytes = port.peek();
      const length = this.#chain.write(0, bytes.length, bytes);
      if (length < 0) return this.fail(`port ${port.index}: a receive buffer that is not in memory`);
      queue.push(this.#chain.head, length);
      port.consume(length);
      if (n === 4 * RX_QUEUE_SIZE - 1) this.again(1 << rxQueue(port.index));
    }
    if (port.finished) this.#close(port.index);
  }

  /** Tells the driver that the host's end is closed: reading finds the end behind what is in its buffers (5.3.6). */
  #close(p: number): void {
    const closed = this.load(CLOSED);
    if ((closed & (1 << p)) !== 0) return;
    this.store(CLOSED, closed | (1 << p));
    // A driver that has not asked for the port yet is told when it does.
    if ((this.load(SHOWN) & (1 << p)) === 0) return;
    this.#owe(p, OWE_CLOSE);
    this.#sendOwed();
  }

  #control(): void {
    const queue = this.queues[CONTROL_TX];
    for (let n = 0; n < CONTROL_QUEUE_SIZE; n++) {
      if (!queue.pop(this.#chain)) return;
      const length = this.#chain.read(0, CONTROL_SIZE, this.#message);
      if (length < 0) return this.fail('a control message that is not in memory');
      queue.push(this.#chain.head, 0);
      if (length === CONTROL_SIZE) this.#handle();
    }
    this.again(1 << CONTROL_TX);
  }

  #handle(): void {
    const message = new DataView(this.#message.buffer);
    const event = message.getUint16(4, true);
    const value = message.getUint16(6, true);
    if (event === DEVICE_READY) {
      this.store(READY, value);
      if (value !== 1) return;
      for (const { index } of this.ports) if (this.#isThere(index)) this.#owe(index, OWE_ADD);
      return;
    }
    const p = message.getUint32(0, true);
    if (p >= this.ports.length) return;
    if (event === PORT_READY && value === 1) {
      this.#owe(p, (this.#consoles[p] ? OWE_CONSOLE | OWE_RESIZE : 0) | OWE_OPEN);
      this.store(SHOWN, this.load(SHOWN) | (1 << p));
      if ((this.load(CLOSED) & (1 << p)) !== 0) this.#owe(p, OWE_CLOSE);
      if (this.#names[p].length > 0) this.#owe(p, OWE_NAME);
    } else if (event === PORT_OPEN) {
      const bit = 1 << p;
      this.store(OPEN, value === 1 ? this.load(OPEN) | bit : this.load(OPEN) & ~bit);
      // What it wrote before it closed its end is heard even if the reader has no room: it may switch itself off next.
      if (value === 0 && this.ports[p].mayOverrun) this.#takeOutput(1 << txQueue(p), bit);
      this.ports[p].noticeOpen();
      this.#deliver(this.ports[p]);
    }
  }

  #isThere(p: number): boolean {
    return !this.#later[p] || (this.load(ANNOUNCED) & (1 << p)) !== 0;
  }

  #owe(p: number, bits: number): void {
    this.store(OWED + 4 * p, this.load(OWED + 4 * p) | bits);
  }

  /** Sends what is owed as far as the driver has buffers for it; the rest follows its next kick. */
  #sendOwed(): void {
    for (let p = 0; p < this.ports.length; p++) {
      for (;;) {
        const owed = this.load(OWED + 4 * p);
        const first = owed & -owed;
        if (first === 0) break;
        if (!this.queues[CONTROL_RX].pop(this.#chain)) return;
        const n = this.#chain.write(0, this.#compose(p, first), this.#message);
        if (n < 0) return this.fail('a control buffer that is not in memory');
        this.queues[CONTROL_RX].push(this.#chain.head, n);
        this.store(OWED + 4 * p, owed & ~first);
      }
    }
  }

  /** Composes a control message; how long it is. */
  #compose(p: number, owed: number): number {
    const message = new DataView(this.#message.buffer);
    const head = (event: number, value: number): number => {
      message.setUint32(0, p, true);
      message.setUint16(4, event, true);
      message.setUint16(6, value, true);
      return CONTROL_SIZE;
    };
    switch (owed) {
      case OWE_ADD:
        return head(DEVICE_ADD, 1);
      case OWE_CONSOLE:
        return head(CONSOLE_PORT, 1);
      case OWE_NAME:
        this.#message.set(this.#names[p], CONTROL_SIZE);
        return head(PORT_NAME, 1) + this.#names[p].length;
      case OWE_OPEN:
        return head(PORT_OPEN, 1);
      case OWE_CLOSE:
        return head(PORT_OPEN, 0);
      default:
        // Columns before rows (5.3.6.2).
        message.setUint16(CONTROL_SIZE, this.#columns, true);
        message.setUint16(CONTROL_SIZE + 2, this.#rows, true);
        return head(RESIZE, 0) + 4;
    }
  }
}
