/**
 * The devices of one OS instance's partition, laid out in one stretch of shared memory:
 *
 *   page 0          PLIC
 *   page 1          PCI slots
 *   page 2          UART
 *   page 3          real-time clock
 *   page 4 + slot   the function in that PCI slot
 *   page 36 … 38    what the guest has written to the console in CONSOLE_SLOT
 *   page 39         what it has written to the SBI's debug console
 *
 * The main thread has a `Board`; each hart's thread has the registers of the same
 * devices through `boardRegions`, and nothing else.
 */
import { DebugConsole, DebugConsoleOutput } from './debug-console.js';
import type { DmaSpace, InterruptLine, MmioRegion } from './dma.js';
import { interruptOf, PCI_SLOTS, PciHost, PciSlots } from './pci/host.js';
import { Plic } from './plic/plic.js';
import { signal } from '../hart/state.js';
import type { Budget } from './turns.js';
import { freeLock, putPage, STATE_PAGE_SIZE, takePage } from './state-page.js';
import { UartRegisters, UART_INTERRUPT, UartPort } from './uart.js';
import { RTC_INTERRUPT, RtcAlarm, RtcRegisters } from './rtc.js';
import type { DeviceHost, VirtioDevice } from './virtio/device.js';
import { VirtioRegisters } from './virtio/registers.js';
import { checkState } from './virtio/check-state.js';
import { LOCK } from './virtio/state.js';
import { ConsoleOutput, OUTPUT_RING_SIZE, portOfQueue } from './virtio/console-output.js';
import { CONSOLE_DEVICE } from './virtio/console.js';
import { DEVICE_ID } from './pci/config-space.js';

const PLIC_PAGE = 0;
const PCI_PAGE = 1;
const UART_PAGE = 2;
const RTC_PAGE = 3;
const FIRST_FUNCTION_PAGE = 4;
const OUTPUT_PAGE = FIRST_FUNCTION_PAGE + PCI_SLOTS;
const OUTPUT_PAGES = Math.ceil(OUTPUT_RING_SIZE / STATE_PAGE_SIZE);
/** A console in this slot has its output taken by the harts' own threads. */
export const CONSOLE_SLOT = 1;
const DEBUG_CONSOLE_PAGE = OUTPUT_PAGE + OUTPUT_PAGES;

/** Bytes of shared memory a board takes, 4 KiB aligned. */
export const BOARD_SIZE = (DEBUG_CONSOLE_PAGE + 1) * STATE_PAGE_SIZE;

/** What a board is made with. */
export interface BoardOptions {
  /** The computer's shared memory. */
  buffer: SharedArrayBuffer;
  /** Byte offset of the board's pages, all zero for a new board. */
  offset: number;
  /** Byte offsets of the hart blocks, by the OS instance's hart id. */
  harts: readonly number[];
  /** Wakes the main thread, which then calls `Board.poll`. Called on any thread; calls may be merged. */
  doorbell(): void;
}

/** What a hart's thread has of a board. */
export interface HartBoardOptions extends BoardOptions {
  dma: DmaSpace;
  /** The driver on this hart will spin while `still` says so: the hart had better nap. */
  nap(still: () => boolean): void;
}

/** The debug console of a board, for a hart's thread. */
export function boardDebugConsole({ buffer, offset, doorbell }: BoardOptions): DebugConsole {
  return new DebugConsole(buffer, offset + DEBUG_CONSOLE_PAGE * STATE_PAGE_SIZE, doorbell);
}

/**
 * Where the locks of a board's pages are: all there is that a thread can take with it when it dies. A device that is no
 * PCI function has its lock in the first word of its page.
 */
const LOCKS = [
  ...[PLIC_PAGE, UART_PAGE, RTC_PAGE, DEBUG_CONSOLE_PAGE].map((page) => page * STATE_PAGE_SIZE),
  ...Array.from({ length: PCI_SLOTS }, (_, slot) => (FIRST_FUNCTION_PAGE + slot) * STATE_PAGE_SIZE + LOCK),
];

/** Takes the locks of a board at `offset` from a thread that is dead or has failed: whoever waits for them goes on. */
export function freeLocks(buffer: SharedArrayBuffer, offset: number, holder: number): void {
  const words = new Int32Array(buffer);
  for (const at of LOCKS) freeLock(words, (offset + at) >>> 2, holder);
}

/** What the main thread's side of a board is told of beside its guest. */
export interface BoardHost extends BoardOptions {
  dma: DmaSpace;
  /** The main thread's budget for devices. */
  budget: Budget;
  /** A guest's queues were garbage, and its device waits for a reset; or a disk could not do what it was asked for. */
  fault?(slot: number, message: string): void;
  /** Something threw in the device in this slot, or in one of that name. It is not touched any more. */
  failed?(device: number | 'serial port' | 'clock', error: unknown): void;
}

/** The registers of a board's devices, for a hart's thread; the busiest first. */
export function boardRegions({ buffer, offset, harts, doorbell, dma, nap }: HartBoardOptions): MmioRegion[] {
  const page = (n: number): number => offset + n * STATE_PAGE_SIZE;
  const plic = new Plic(buffer, page(PLIC_PAGE), harts);
  const pci = new PciHost(buffer, page(PCI_PAGE), (at, slot) => {
    const line = plic.line(interruptOf(slot));
    const isConsole = new DataView(buffer).getUint16(at + DEVICE_ID, true) === CONSOLE_DEVICE;
    if (slot !== CONSOLE_SLOT || !isConsole) return new VirtioRegisters(buffer, at, line, doorbell);
    const output = new ConsoleOutput({ buffer, stateOffset: at, dma, line, outputRing: page(OUTPUT_PAGE) });
    return new VirtioRegisters(buffer, at, line, doorbell, (q) => {
      if (portOfQueue(q) >= 0 && output.transmit(q)) nap(() => output.napping());
    });
  });
  const uart = new UartRegisters(buffer, page(UART_PAGE), plic.line(UART_INTERRUPT), doorbell);
  const rtc = new RtcRegisters(buffer, page(RTC_PAGE), plic.line(RTC_INTERRUPT), doorbell);
  return [pci.memory, plic, uart, pci.ecam, rtc];
}

/** The main thread's side of a partition's devices. */
export class Board {
  readonly plic: Plic;
  readonly uart: UartPort;
  readonly debugConsole: DebugConsoleOutput;
  readonly #rtc: RtcAlarm;
  readonly #options: BoardHost;
  readonly #underWay = { bytes: 0 };
  readonly #slots: PciSlots;
  readonly #devices = new Map<number, VirtioDevice>();

  constructor(options: BoardHost) {
    this.#options = options;
    const { buffer } = options;
    this.plic = new Plic(buffer, this.#page(PLIC_PAGE), options.harts);
    const failed =
      (device: 'serial port' | 'clock') =>
      (error: unknown): void => {
        if (options.failed === undefined) throw error;
        options.failed(device, error);
      };
    this.uart = new UartPort(buffer, this.#page(UART_PAGE), this.plic.line(UART_INTERRUPT), failed('serial port'));
    this.debugConsole = new DebugConsoleOutput(buffer, this.#page(DEBUG_CONSOLE_PAGE), () => this.#wakeHarts());
    this.#rtc = new RtcAlarm(buffer, this.#page(RTC_PAGE), this.plic.line(RTC_INTERRUPT), failed('clock'));
    this.#slots = new PciSlots(buffer, this.#page(PCI_PAGE));
  }

  /**
   * Makes a device and plugs it into `slot`, 0 … 31. A guest that is running finds it
   * when it scans the bus. Throws RangeError if the slot is taken.
   *
   *     const disk = board.plug(2, (host) => new VirtioBlock(host, backend));
   */
  plug<T extends VirtioDevice>(slot: number, make: (host: DeviceHost) => T): T {
    if (this.#devices.has(slot)) throw new RangeError(`PCI slot ${slot} is taken`);
    const line: InterruptLine = this.plic.line(interruptOf(slot));
    const { buffer, dma, budget, fault, failed } = this.#options;
    const stateOffset = this.#page(FIRST_FUNCTION_PAGE + slot);
    const device = make({
      buffer,
      stateOffset,
      dma,
      line,
      outputRing: slot === CONSOLE_SLOT ? this.#page(OUTPUT_PAGE) : undefined,
      doorbell: () => this.#options.doorbell(),
      budget,
      underWay: this.#underWay,
      wakeHarts: () => this.#wakeHarts(),
      fault: (message) => fault?.(slot, message),
      ...(failed && { failed: (error: unknown) => failed(slot, error) }),
    });
    this.#devices.set(slot, device);
    this.#slots.plug(slot, stateOffset);
    // A device that goes on from a state may have something to do at once.
    this.#options.doorbell();
    return device;
  }

  /** Takes the function out of `slot`. The guest should have let go of it (`remove` in its sysfs). */
  unplug(slot: number): void {
    const device = this.#devices.get(slot);
    if (device === undefined) return;
    device.detach();
    this.#devices.delete(slot);
    this.#slots.unplug(slot);
    const at = this.#page(FIRST_FUNCTION_PAGE + slot);
    new Uint8Array(this.#options.buffer, at, STATE_PAGE_SIZE).fill(0);
    this.plic.setLevel(interruptOf(slot), false);
  }

  /** Lets go of the board's memory: no device touches it, or the guest's, from now on. The harts must stand still. */
  close(): void {
    for (const device of this.#devices.values()) device.detach();
    this.#devices.clear();
    this.uart.detach();
    this.debugConsole.detach();
    this.#rtc.detach();
  }

  /** To be called after a doorbell: the devices do what they were asked for. */
  poll(): void {
    for (const device of this.#devices.values()) device.poll();
    this.uart.poll();
    this.#rtc.poll();
  }

  /** The state of the function in `slot`, plain data. Its device must be quiet, the harts must stand still. */
  takeState(slot: number): Uint8Array {
    return takePage(this.#options.buffer, this.#page(FIRST_FUNCTION_PAGE + slot), LOCK);
  }

  /**
   * Puts a state into an empty slot; `plug` then makes the device that goes on from it.
   * Throws StateError if it is no state of a virtio device.
   */
  putState(slot: number, state: Uint8Array): void {
    if (this.#devices.has(slot)) throw new RangeError(`PCI slot ${slot} is taken`);
    checkState(state);
    putPage(this.#options.buffer, this.#page(FIRST_FUNCTION_PAGE + slot), state);
  }

  #wakeHarts(): void {
    const words = new Int32Array(this.#options.buffer);
    for (const h of this.#options.harts) signal(words, h);
  }

  #page(n: number): number {
    return this.#options.offset + n * STATE_PAGE_SIZE;
  }
}
