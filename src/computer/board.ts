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
 *   page 40         the disks that harts reach by themselves (virtio/local-disk.ts)
 *
 * The main thread has a `Board`; each hart's thread has the registers of the same
 * devices through `boardRegions`, and nothing else.
 */
import { DebugConsole, DebugConsoleOutput } from './debug-console.js';
import type { DmaSpace, MmioRegion } from './dma.js';
import { interruptOf, leaveRegisters, pagesOnBus, PCI_SLOTS, PciHost, PciSlots } from './pci/host.js';
import { Plic } from './plic/plic.js';
import { signal } from '../hart/state.js';
import type { Budget } from './turns.js';
import { freeLock, MAIN_THREAD, putPage, STATE_PAGE_SIZE, takePage } from './state-page.js';
import { UartRegisters, UART_INTERRUPT, UartPort } from './uart.js';
import { RTC_INTERRUPT, RtcAlarm, RtcRegisters } from './rtc.js';
import type { DeviceHost, Surroundings, VirtioDevice } from './virtio/device.js';
import { VirtioRegisters } from './virtio/registers.js';
import { checkState } from './virtio/check-state.js';
import { BUSY, LOCK } from './virtio/state.js';
import { BLOCK_DEVICE } from './virtio/block-request.js';
import { BlockRequests, type SyncDisk } from './virtio/block-requests.js';
import { LocalDisks, LocalDiskSlot, type LocalFile } from './virtio/local-disk.js';
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

const LOCAL_DISKS_PAGE = DEBUG_CONSOLE_PAGE + 1;

/** Bytes of shared memory a board takes, 4 KiB aligned. */
export const BOARD_SIZE = (LOCAL_DISKS_PAGE + 1) * STATE_PAGE_SIZE;

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
  /** The hart's id in its OS instance. */
  hart: number;
  /** The driver on this hart will spin while `still` says so: the hart had better nap. */
  nap(still: () => boolean): void;
  /** The platform's way to the disk behind a handle, on this thread. */
  openLocal?: ((handle: number) => LocalFile | undefined) | undefined;
}

/** The debug console of a board, for a hart's thread. */
export function boardDebugConsole({ buffer, offset, doorbell }: BoardOptions): DebugConsole {
  return new DebugConsole(buffer, offset + DEBUG_CONSOLE_PAGE * STATE_PAGE_SIZE, doorbell);
}

/**
 * Takes what a thread of a board at `offset` holds that is dead or has failed: whoever waits for it goes on. That is the
 * locks of the pages (a device that is no PCI function has its lock in the first word of its page), and with `hart`, its
 * id in the OS instance, that it is at some function's registers.
 */
export function freeLocks(buffer: SharedArrayBuffer, offset: number, holder: number, hart?: number): void {
  const words = new Int32Array(buffer);
  const pages = [PLIC_PAGE, UART_PAGE, RTC_PAGE, DEBUG_CONSOLE_PAGE].map((page) => offset + page * STATE_PAGE_SIZE);
  const pci = offset + PCI_PAGE * STATE_PAGE_SIZE;
  const functions = pagesOnBus(words, pci).map((page) => page + LOCK);
  for (const at of [...pages, ...functions]) freeLock(words, at >>> 2, holder);
  // And its turns at queues (virtio/hart-turn.ts).
  for (const page of pagesOnBus(words, pci)) {
    if (holder !== MAIN_THREAD) Atomics.compareExchange(words, (page + BUSY) >>> 2, 2 * holder, 0);
  }
  if (hart !== undefined) leaveRegisters(words, pci, hart);
}

/** What the main thread's side of a board is told of beside its guest. */
export interface BoardHost extends BoardOptions {
  dma: DmaSpace;
  /** The main thread's budget for devices. */
  budget: Budget;
  /** The device in this slot did not make an access, because the guest has no memory there or may not write it. */
  refused?(slot: number): void;
  /** A guest's queues were garbage, and its device waits for a reset; or a disk could not do what it was asked for. */
  fault?(slot: number, message: string): void;
  /** Something threw in the device in this slot, or in one of that name. It is not touched any more. */
  failed?(device: number | 'serial port' | 'clock', error: unknown): void;
}

/** The registers of a board's devices, for a hart's thread; the busiest first. */
export function boardRegions(options: HartBoardOptions): MmioRegion[] {
  const { buffer, offset, harts, doorbell, dma, hart, nap, openLocal } = options;
  const page = (n: number): number => offset + n * STATE_PAGE_SIZE;
  const plic = new Plic(buffer, page(PLIC_PAGE), harts);
  const localDisks = openLocal && new LocalDisks({ buffer, page: page(LOCAL_DISKS_PAGE), open: openLocal, doorbell });
  const pci = new PciHost(buffer, page(PCI_PAGE), hart, (at, slot) => {
    const line = plic.line(interruptOf(slot));
    const kind = new DataView(buffer).getUint16(at + DEVICE_ID, true);
    if (kind === BLOCK_DEVICE && localDisks !== undefined) {
      const disk = (): SyncDisk | undefined => localDisks.at(slot, at);
      const requests = new BlockRequests({ buffer, stateOffset: at, dma, line, doorbell, disk });
      return new VirtioRegisters(buffer, at, line, doorbell, (q) => requests.serve(q));
    }
    if (slot !== CONSOLE_SLOT || kind !== CONSOLE_DEVICE) return new VirtioRegisters(buffer, at, line, doorbell);
    const output = new ConsoleOutput({ buffer, stateOffset: at, dma, line, outputRing: page(OUTPUT_PAGE) });
    return new VirtioRegisters(buffer, at, line, doorbell, (q) => {
      if (portOfQueue(q) >= 0 && output.transmit(q)) nap(() => output.napping());
      return false;
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
    this.#checkFree(slot);
    const stateOffset = this.#page(FIRST_FUNCTION_PAGE + slot);
    const device = make({ buffer: this.#options.buffer, stateOffset, ...this.surroundings(slot) });
    this.put(slot, device);
    return device;
  }

  /** The first empty slot from `slot` on. */
  firstFree(slot: number): number | undefined {
    while (this.#devices.has(slot)) slot++;
    return slot < PCI_SLOTS ? slot : undefined;
  }

  /** What a device in `slot` has around it. */
  surroundings(slot: number): Surroundings {
    const { dma, budget, refused, fault, failed } = this.#options;
    return {
      dma,
      line: this.plic.line(interruptOf(slot)),
      outputRing: slot === CONSOLE_SLOT ? this.#page(OUTPUT_PAGE) : undefined,
      doorbell: () => this.#options.doorbell(),
      budget,
      underWay: this.#underWay,
      local: (stateOffset) => new LocalDiskSlot(this.#options.buffer, this.#page(LOCAL_DISKS_PAGE), slot, stateOffset),
      wakeHarts: () => this.#wakeHarts(),
      refused: () => refused?.(slot),
      fault: (message) => fault?.(slot, message),
      ...(failed && { failed: (error: unknown) => failed(slot, error) }),
    };
  }

  /** Puts a device that has these surroundings, and a page of its own, into `slot`. Throws RangeError if it is taken. */
  put(slot: number, device: VirtioDevice): void {
    this.#checkFree(slot);
    this.#devices.set(slot, device);
    this.#slots.plug(slot, device.page * 4);
    // A device that goes on from a state may have something to do at once.
    this.#options.doorbell();
  }

  /**
   * Takes the function out of `slot`. The guest should have let go of it (`remove` in its sysfs).
   * Throws StateError `lock` if a hart is at work on it and does not end.
   */
  unplug(slot: number): void {
    const device = this.#devices.get(slot);
    if (device === undefined) return;
    this.surroundings(slot)
      .local?.(device.page * 4)
      .settle();
    device.detach();
    this.take(slot);
    new Uint8Array(this.#options.buffer, device.page * 4, STATE_PAGE_SIZE).fill(0);
  }

  /** Takes the function out of `slot`; its device stays as it is. */
  take(slot: number): void {
    this.#devices.delete(slot);
    this.#slots.unplug(slot);
    this.plic.setLevel(interruptOf(slot), false);
  }

  /** Which pages answer in the slots; for who takes a device's place while it is in use. */
  get slots(): PciSlots {
    return this.#slots;
  }

  /** From now on `device` is polled for `slot`, and answers: accesses that were held go on there. */
  answerWith(slot: number, device: VirtioDevice): void {
    if (!this.#devices.has(slot)) throw new RangeError(`PCI slot ${slot} is empty`);
    this.#devices.set(slot, device);
    this.#slots.answer(slot, device.page * 4);
    this.#options.doorbell();
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
    this.#checkFree(slot);
    checkState(state);
    putPage(this.#options.buffer, this.#page(FIRST_FUNCTION_PAGE + slot), state);
  }

  #checkFree(slot: number): void {
    if (this.#devices.has(slot)) throw new RangeError(`PCI slot ${slot} is taken`);
  }

  #wakeHarts(): void {
    const words = new Int32Array(this.#options.buffer);
    for (const h of this.#options.harts) signal(words, h);
  }

  #page(n: number): number {
    return this.#options.offset + n * STATE_PAGE_SIZE;
  }
}
