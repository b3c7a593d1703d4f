/**
 * A serial port as of the National Semiconductor 16550A, for kernels whose console is
 * ttyS0. Register names are the data sheet's.
 *
 * The state page:
 *
 *   0x000  lock
 *   0x004  IER     0x008  FCR     0x00c  LCR     0x010  MCR     0x014  SCR     0x018  divisor
 *   0x01c  1: the transmitter-empty interrupt is due
 *   0x020  receive ring: next to read       0x024  receive ring: next to write
 *   0x028  transmit ring: next to read      0x02c  transmit ring: next to write
 *   0x030  1: there is something for the main thread to do
 *   0x400  receive ring     1 KiB
 *   0x800  transmit ring    2 KiB
 *
 * Ring positions run freely. The hart's thread writes one ring and reads the other.
 */
import type { InterruptLine, MmioRegion } from './dma.js';
import type { GuestOutput } from './guest-output.js';
import { lock, unlock } from './state-page.js';

/** Where QEMU's virt machine has it, and its interrupt source. */
export const UART_BASE = 0x1000_0000;
export const UART_SIZE = 0x100;
export const UART_INTERRUPT = 10;
/** What the device tree says as clock-frequency; no bit is really clocked. */
export const UART_CLOCK = 3_686_400;

const LOCK = 0x000;
const IER = 0x004;
const FCR = 0x008;
const LCR = 0x00c;
const MCR = 0x010;
const SCR = 0x014;
const DIVISOR = 0x018;
const THRE_DUE = 0x01c;
export const RX_READ = 0x020;
export const RX_WRITE = 0x024;
export const TX_READ = 0x028;
export const TX_WRITE = 0x02c;
export const KICKED = 0x030;
export const RX_RING = 0x400;
export const RX_SIZE = 0x400;
export const TX_RING = 0x800;
export const TX_SIZE = 0x800;

const IER_RECEIVED = 1;
const IER_EMPTY = 2;
const IIR_NONE = 1;
const IIR_EMPTY = 2;
const IIR_RECEIVED = 4;
const IIR_FIFOS = 0xc0;
const FCR_ENABLE = 1;
const FCR_CLEAR_RECEIVER = 2;
const LCR_DLAB = 0x80;
const MCR_LOOP = 0x10;
const LSR_DATA_READY = 0x01;
const LSR_HOLDING_EMPTY = 0x20;
const LSR_EMPTY = 0x40;
/** Carrier, data set ready, clear to send: somebody is there. */
const MSR_PRESENT = 0xb0;

/** The registers, on any thread; all state is in the state page. */
export class UartRegisters implements MmioRegion {
  readonly base = UART_BASE;
  readonly size = UART_SIZE;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #page: number;
  readonly #line: InterruptLine;
  readonly #doorbell: () => void;

  constructor(buffer: SharedArrayBuffer, stateOffset: number, line: InterruptLine, doorbell: () => void) {
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#offset = stateOffset;
    this.#page = stateOffset >>> 2;
    this.#line = line;
    this.#doorbell = doorbell;
  }

  /** Registers are bytes: a wider access sees one. */
  read(offset: number): number {
    let ring = false;
    lock(this.#words, this.#page + (LOCK >>> 2));
    let value = 0;
    switch (offset) {
      case 0:
        if (this.#dlab) value = this.#load(DIVISOR) & 0xff;
        else if (this.#received > 0) {
          const at = this.#load(RX_READ);
          value = this.#bytes[this.#offset + RX_RING + (at & (RX_SIZE - 1))];
          this.#store(RX_READ, at + 1);
          // There is room again: the main thread may have more.
          ring = this.#received === 0;
        }
        break;
      case 1:
        value = this.#dlab ? this.#load(DIVISOR) >>> 8 : this.#load(IER);
        break;
      case 2:
        value = this.#identify();
        break;
      case 3:
        value = this.#load(LCR);
        break;
      case 4:
        value = this.#load(MCR);
        break;
      case 5:
        value = (this.#received > 0 ? LSR_DATA_READY : 0) | (this.#room > 0 ? LSR_HOLDING_EMPTY | LSR_EMPTY : 0);
        break;
      case 6:
        value = this.#modemStatus();
        break;
      case 7:
        value = this.#load(SCR);
        break;
    }
    this.updateLine();
    unlock(this.#words, this.#page + (LOCK >>> 2));
    if (ring) this.#kick();
    return value;
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    let ring = false;
    lock(this.#words, this.#page + (LOCK >>> 2));
    switch (offset) {
      case 0:
        if (this.#dlab) this.#store(DIVISOR, (this.#load(DIVISOR) & 0xff00) | byte);
        else ring = this.#transmit(byte);
        break;
      case 1:
        if (this.#dlab) this.#store(DIVISOR, (this.#load(DIVISOR) & 0xff) | (byte << 8));
        else {
          // Enabling it while the transmitter is empty makes the interrupt due at once.
          if ((byte & ~this.#load(IER) & IER_EMPTY) !== 0 && this.#room > 0) this.#store(THRE_DUE, 1);
          this.#store(IER, byte & 0x0f);
        }
        break;
      case 2:
        this.#store(FCR, byte & FCR_ENABLE);
        if ((byte & FCR_CLEAR_RECEIVER) !== 0) this.#store(RX_READ, this.#load(RX_WRITE));
        break;
      case 3:
        this.#store(LCR, byte);
        break;
      case 4:
        this.#store(MCR, byte & 0x1f);
        break;
      case 7:
        this.#store(SCR, byte);
        break;
    }
    this.updateLine();
    unlock(this.#words, this.#page + (LOCK >>> 2));
    if (ring) this.#kick();
  }

  /** Under the lock: lets the line follow the interrupts that are due and enabled. */
  updateLine(): void {
    const enabled = this.#load(IER);
    const received = (enabled & IER_RECEIVED) !== 0 && this.#received > 0;
    this.#line.set(received || ((enabled & IER_EMPTY) !== 0 && this.#load(THRE_DUE) !== 0));
  }

  #identify(): number {
    const fifos = this.#load(FCR) !== 0 ? IIR_FIFOS : 0;
    const enabled = this.#load(IER);
    if ((enabled & IER_RECEIVED) !== 0 && this.#received > 0) return fifos | IIR_RECEIVED;
    if ((enabled & IER_EMPTY) !== 0 && this.#load(THRE_DUE) !== 0) {
      // Reading the identification is what clears this one.
      this.#store(THRE_DUE, 0);
      return fifos | IIR_EMPTY;
    }
    return fifos | IIR_NONE;
  }

  /** True if the main thread has something to fetch. */
  #transmit(byte: number): boolean {
    if ((this.#load(MCR) & MCR_LOOP) !== 0) {
      if (this.#received < RX_SIZE) this.#append(RX_RING, RX_SIZE, RX_WRITE, byte);
      this.#store(THRE_DUE, 1);
      return false;
    }
    // A driver that does not look whether there is room loses the byte, as on the real one.
    if (this.#room > 0) this.#append(TX_RING, TX_SIZE, TX_WRITE, byte);
    // While there is room the byte is as good as sent; else the main thread says when it is.
    this.#store(THRE_DUE, this.#room > 0 ? 1 : 0);
    return true;
  }

  #append(ring: number, size: number, index: number, byte: number): void {
    const at = this.#load(index);
    this.#bytes[this.#offset + ring + (at & (size - 1))] = byte;
    this.#store(index, at + 1);
  }

  /** In loop mode the outputs come back as inputs. */
  #modemStatus(): number {
    const mcr = this.#load(MCR);
    if ((mcr & MCR_LOOP) === 0) return MSR_PRESENT;
    return ((mcr & 2) << 3) | ((mcr & 1) << 5) | ((mcr & 4) << 4) | ((mcr & 8) << 4);
  }

  get #dlab(): boolean {
    return (this.#load(LCR) & LCR_DLAB) !== 0;
  }
  get #received(): number {
    return (this.#load(RX_WRITE) - this.#load(RX_READ)) | 0;
  }
  get #room(): number {
    return TX_SIZE - ((this.#load(TX_WRITE) - this.#load(TX_READ)) | 0);
  }

  #kick(): void {
    if (Atomics.exchange(this.#words, this.#page + (KICKED >>> 2), 1) === 0) this.#doorbell();
  }
  #load(at: number): number {
    return Atomics.load(this.#words, this.#page + (at >>> 2));
  }
  #store(at: number, value: number): void {
    Atomics.store(this.#words, this.#page + (at >>> 2), value);
  }
}

/** More than this waiting for the guest makes `write` ask for patience (bytes). */
const HIGH_WATER = 64 * 1024;

/** The main thread's side: a stream of bytes each way. */
export class UartPort implements GuestOutput {
  /** Called once everything is delivered after a `write` that returned false. */
  onDrain: () => void = () => undefined;
  onData: (bytes: Uint8Array) => void = () => undefined;

  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #page: number;
  readonly #uart: UartRegisters;
  #chunks: Uint8Array[] = [];
  #backlog = 0;
  #full = false;
  #held = false;
  readonly #failed: (error: unknown) => void;
  #detached = false;

  /** `failed` is told of what was thrown here, or by a listener: the port is not touched any more then. */
  constructor(
    buffer: SharedArrayBuffer,
    stateOffset: number,
    line: InterruptLine,
    failed = (error: unknown): void => {
      throw error;
    },
  ) {
    this.#failed = failed;
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#offset = stateOffset;
    this.#page = stateOffset >>> 2;
    this.#uart = new UartRegisters(buffer, stateOffset, line, () => undefined);
  }

  /** The guest is gone, and its memory with it. */
  detach(): void {
    this.#detached = true;
  }

  /** Sends bytes to the guest. None is lost; false asks the caller to wait for `onDrain`. */
  write(bytes: Uint8Array): boolean {
    if (bytes.length > 0) this.#chunks.push(bytes.slice());
    this.#backlog += bytes.length;
    this.#guarded(() => this.#deliver());
    if (this.#backlog >= HIGH_WATER) this.#full = true;
    return !this.#full;
  }

  /** The guest finds no room in the transmitter. */
  hold(): void {
    this.#held = true;
  }

  letGo(): void {
    if (!this.#held) return;
    this.#held = false;
    if (!this.#detached) this.#guarded(() => this.#transmitted());
  }

  /** To be called after a doorbell. */
  poll(): void {
    this.#guarded(() => this.#poll());
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.detach();
      this.#failed(error);
    }
  }

  #poll(): void {
    if (this.#detached || Atomics.exchange(this.#words, this.#page + (KICKED >>> 2), 0) === 0) return;
    if (!this.#held) this.#transmitted();
    this.#deliver();
  }

  /** Takes what the guest has written. */
  #transmitted(): void {
    const at = (index: number): number => Atomics.load(this.#words, this.#page + (index >>> 2));
    const from = at(TX_READ);
    const count = (at(TX_WRITE) - from) | 0;
    // Positions in a state that was put back may be anything.
    const output = new Uint8Array(Math.max(0, Math.min(count, TX_SIZE)));
    for (let i = 0; i < output.length; i++) {
      output[i] = this.#bytes[this.#offset + TX_RING + ((from + i) & (TX_SIZE - 1))];
    }
    if (count !== 0) {
      lock(this.#words, this.#page + (LOCK >>> 2));
      Atomics.store(this.#words, this.#page + (TX_READ >>> 2), from + count);
      Atomics.store(this.#words, this.#page + (THRE_DUE >>> 2), 1);
      this.#uart.updateLine();
      unlock(this.#words, this.#page + (LOCK >>> 2));
    }
    if (output.length > 0) this.onData(output);
  }

  #deliver(): void {
    if (this.#detached || this.#backlog === 0) return;
    lock(this.#words, this.#page + (LOCK >>> 2));
    let at = Atomics.load(this.#words, this.#page + (RX_WRITE >>> 2));
    const room = RX_SIZE - ((at - Atomics.load(this.#words, this.#page + (RX_READ >>> 2))) | 0);
    for (let left = Math.min(room, RX_SIZE, this.#backlog); left > 0;) {
      const [first] = this.#chunks;
      const n = Math.min(left, first.length);
      for (let i = 0; i < n; i++) this.#bytes[this.#offset + RX_RING + (at++ & (RX_SIZE - 1))] = first[i];
      if (n < first.length) this.#chunks[0] = first.subarray(n);
      else this.#chunks.shift();
      this.#backlog -= n;
      left -= n;
    }
    Atomics.store(this.#words, this.#page + (RX_WRITE >>> 2), at);
    this.#uart.updateLine();
    unlock(this.#words, this.#page + (LOCK >>> 2));
    if (this.#backlog > 0 || !this.#full) return;
    this.#full = false;
    this.onDrain();
  }
}
