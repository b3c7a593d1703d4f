/** A board with one device of the computer, and a driver that knows it by its registers and queues only. */
import { Board, BOARD_SIZE, boardRegions } from '../../computer/board.js';
import type { MmioRegion } from '../../computer/dma.js';
import { Frames } from '../../computer/frames.js';
import { ECAM_BASE, PCI_MEMORY_BASE } from '../../computer/pci/host.js';
import { Turns } from '../../computer/turns.js';
import type { VirtioDevice } from '../../computer/virtio/device.js';
import type { LocalFile } from '../../computer/virtio/local-disk.js';
import { TestDriver } from '../../computer/virtio/testing/driver.js';
import { TestMachine } from '../../computer/virtio/testing/machine.js';
import { ComputerDevice, type DeviceGround } from '../device.js';
import type { Driver } from '../driver/driver.js';
import type { Kind } from '../kind.js';
import type { Route } from '../route.js';

export const BOARD = 0x4_0000;
const MONITOR_FRAMES = 2048;
export const PAGES = 512;
/** Where the test machine's own memory ends, and the monitor's begins. */
const MONITOR = 0x8_0000 + PAGES * 4096;
export const SLOT = 4;

export const soon = (run: () => void): void => void setImmediate(run);

export class InterpositionBench {
  readonly machine: TestMachine;
  readonly board: Board;
  readonly ground: DeviceGround;
  readonly faults: string[] = [];
  readonly failures: unknown[] = [];
  #polled = false;

  /** `openLocal`: the platform's way to a disk's contents, as harts have it; without it the main thread does all. */
  constructor(openLocal?: (handle: number) => LocalFile | undefined) {
    const buffer = new SharedArrayBuffer(MONITOR + MONITOR_FRAMES * 4096);
    const machine = new TestMachine(PAGES, buffer);
    if (BOARD + BOARD_SIZE > 0x8_0000) throw new RangeError('the board does not fit');
    const { bytes, view } = machine;
    const turns = new Turns(soon);
    this.ground = {
      machine: { buffer, bytes, view, words: new Int32Array(buffer) },
      frames: new Frames(bytes, MONITOR / 4096, MONITOR / 4096 + MONITOR_FRAMES),
      turns,
      soon,
    };
    const options = { buffer, offset: BOARD, harts: [0x3000], doorbell: () => this.#later() };
    this.board = new Board({
      ...options,
      dma: machine,
      budget: machine.budget,
      fault: (_, message) => void this.faults.push(message),
      failed: (_, error) => void this.failures.push(error),
    });
    const regions = boardRegions({ ...options, dma: machine, hart: 0, nap: () => undefined, openLocal });
    const at = (base: number): MmioRegion => {
      const region = regions.find((r) => r.base === base);
      if (region === undefined) throw new RangeError(`the board has nothing at ${base.toString(16)}`);
      return region;
    };
    // The driver's accesses go to the board's windows.
    machine.pci = { ecam: at(ECAM_BASE), memory: at(PCI_MEMORY_BASE) };
    this.machine = machine;
  }

  /** Puts a device into the slot. */
  add<T extends VirtioDevice, D extends Driver>(
    kind: Kind<T, D>,
    make: (host: Route) => T,
    slot = SLOT,
  ): ComputerDevice<T, D> {
    const device = new ComputerDevice('device', this.ground, kind, make);
    device.give(this.board, slot, 'guest');
    return device;
  }

  driver(memory?: number, slot = SLOT): TestDriver {
    return new TestDriver(this.machine, slot, memory);
  }

  /** As a guest's handler does: takes the interrupt from the interrupt controller, reads the ISR status, completes it. */
  interrupt(driver: TestDriver): number {
    const context = 0x20_0000 + 4;
    const { plic } = this.board;
    const source = plic.read(context, 4);
    const isr = driver.isr;
    if (source !== 0) plic.write(context, 4, source);
    return isr;
  }

  /** The main thread's turn, whether it was asked for or not. */
  poll(): void {
    this.board.poll();
  }

  #later(): void {
    if (this.#polled) return;
    this.#polled = true;
    soon(() => {
      this.#polled = false;
      this.board.poll();
    });
  }
}

/** Lets everything that is to come soon come. */
export async function settle(rounds = 20): Promise<void> {
  for (let i = 0; i < rounds; i++) await new Promise<void>((resolve) => soon(resolve));
}
