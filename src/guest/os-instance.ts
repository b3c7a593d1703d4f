/** An OS instance: a partition with its devices, a kernel in it, and what it says. */
import { Board, BOARD_SIZE, freeLocks } from '../computer/board.js';
import type { DebugConsoleOutput } from '../computer/debug-console.js';
import { MAIN_THREAD } from '../computer/state-page.js';
import type { TurnTaker } from '../computer/turns.js';
import type { UartPort } from '../computer/uart.js';
import type { BlockBackend } from '../computer/virtio/block-backend.js';
import { VirtioBlock } from '../computer/virtio/block.js';
import type { ConsolePort } from '../computer/virtio/console-port.js';
import { VirtioConsole, type PortOptions } from '../computer/virtio/console.js';
import type { DeviceHost, VirtioDevice } from '../computer/virtio/device.js';
import { VirtioEntropy } from '../computer/virtio/entropy.js';
import { VirtioNet, type NetOptions } from '../computer/virtio/net.js';
import { FRAME_SIZE } from '../computer/memory.js';
import { RUN_STATE, RUN_STATE_IDLE, RUN_STATE_STOPPED } from '../hart/state.js';
import { RAM_BASE } from '../partition/address-space.js';
import { holderOf, type HartMessage, type HartReport } from '../partition/assignment.js';
import type { Partition } from '../partition/partition.js';
import type { ResetKind } from '../partition/sbi.js';
import type { Vmm } from '../partition/vmm.js';
import { buildDeviceTree } from './device-tree.js';
import { GuestError } from './errors.js';
import { Mailbox, MAILBOX_SIZE } from './hands/mailbox.js';
import { readKernelHeader } from './kernel-image.js';

/** What an OS instance is booted from. */
export interface OsOptions {
  readonly name: string;
  /** An uncompressed RISC-V Linux `Image`. */
  readonly kernel: Uint8Array;
  /** cpio archives; several may stand one after the other. */
  readonly initramfs?: Uint8Array;
  readonly bootArguments?: string;
  /** Bytes, a multiple of 4096. */
  readonly memory: number;
  readonly harts?: number;
  readonly disks?: readonly BlockBackend[];
  readonly nics?: readonly NetOptions[];
  /** Ports of the console device after port 0, by name. */
  readonly ports?: readonly PortOptions[];
  readonly columns?: number;
  readonly rows?: number;
}

/**
 * How an OS instance came to its end:
 *
 * | kind                             | meaning                                                                         |
 * |----------------------------------|---------------------------------------------------------------------------------|
 * | `shutdown`, `reboot`, `failure`  | the guest asked for it                                                          |
 * | `stopped`                        | it was switched off                                                             |
 * | `hart-failed`                    | the thread of hart `hart` failed or died                                        |
 * | `device-failed`                  | `error` was thrown in `device`, by what stands behind it or by who listens to it |
 */
export type OsEnd =
  | { readonly kind: ResetKind | 'stopped' }
  | { readonly kind: 'hart-failed'; readonly hart: number; readonly message: string }
  | { readonly kind: 'device-failed'; readonly device: string; readonly message: string; readonly error: unknown };

/** What the main thread keeps for an OS instance beside its devices. */
const DEBUG_CONSOLE = 'debug console';
const RING = 'ring of the hands';

const ALIGNMENT = 0x200000;
/** Turns in which a guest that has ended is still heard: what its queues can hold, and no more. */
const LAST_TURNS = 64;

/** One Linux that was booted in a partition, with the devices on its board. */
export class OsInstance implements TurnTaker {
  readonly name: string;
  readonly partition: Partition;
  readonly mailbox: Mailbox;
  readonly console: VirtioConsole;
  readonly serial: UartPort;
  readonly disks: readonly VirtioBlock[];
  readonly nics: readonly VirtioNet[];
  /** Settles when the instance has ended, for whatever reason; its harts stand still then. */
  readonly ended: Promise<OsEnd>;
  /** Text the kernel prints through the SBI before it has a console (earlycon). */
  readonly debugConsole: DebugConsoleOutput;
  /** Called after each doorbell of the hands' ring. */
  onRing: () => void = () => undefined;
  /** Told when a device stopped because the guest filled its queues with garbage. */
  onDeviceFault: (message: string) => void = () => undefined;

  readonly board: Board;
  /** What the harts did; filled as they stop. */
  readonly reports: HartReport[] = [];
  readonly #vmm: Vmm;
  /** What is plugged into which PCI slot. */
  readonly #devices = new Map<number, string>();
  /** Why it ends, as soon as that is known. */
  #cause: OsEnd | undefined;
  readonly #pages: { readonly board: number; readonly mailbox: number; readonly doorbell: number };
  #end!: (end: OsEnd) => void;
  #entry = 0;
  #destroyed = false;
  /** The devices were left with something to do. */
  #unfinished = false;
  #deviceTreeAt = 0;

  /**
   * Puts the kernel into a new partition, ready to start.
   * Throws GuestError for a kernel that cannot be booted, ComputerError where the computer has too little left.
   */
  constructor(vmm: Vmm, options: OsOptions) {
    this.#vmm = vmm;
    this.name = options.name;
    const header = readKernelHeader(options.kernel);
    const layout = layOut(options, header);
    this.partition = vmm.partition(options.harts ?? 1, options.memory);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    try {
      this.#pages = {
        board: this.partition.allocate(BOARD_SIZE),
        mailbox: this.partition.allocate(MAILBOX_SIZE),
        doorbell: this.partition.allocate(FRAME_SIZE),
      };
    } catch (error) {
      void this.partition.release();
      throw error;
    }
    const { buffer } = vmm.machine;
    this.mailbox = new Mailbox(buffer, this.#pages.mailbox);
    this.board = new Board({
      buffer,
      offset: this.#pages.board,
      harts: this.partition.blocks,
      doorbell: () => this.#later(),
      budget: vmm.turns,
      dma: this.partition.space,
      fault: (_, message) => this.onDeviceFault(message),
      failed: (device, error) =>
        this.#failed(typeof device === 'string' ? device : (this.#devices.get(device) ?? `device ${device}`), error),
    });
    this.serial = this.board.uart;
    this.debugConsole = this.board.debugConsole;

    // Slot 0 would be the host bridge's.
    let slot = 1;
    const { columns, rows } = options;
    const plug = <T extends VirtioDevice>(name: string, make: (host: DeviceHost) => T): T => {
      this.#devices.set(slot, name);
      return this.board.plug(slot++, make);
    };
    this.console = plug(
      'console',
      (host) =>
        new VirtioConsole(host, {
          ports: [{ console: true }, ...(options.ports ?? [])],
          ...(columns !== undefined && { columns }),
          ...(rows !== undefined && { rows }),
        }),
    );
    plug('entropy device', (host) => new VirtioEntropy(host, (into) => vmm.platform.randomBytes(into)));
    this.disks = (options.disks ?? []).map((backend, n) => plug(`disk ${n}`, (host) => new VirtioBlock(host, backend)));
    this.nics = (options.nics ?? []).map((nic, n) => plug(`network card ${n}`, (host) => new VirtioNet(host, nic)));

    this.#load(options, layout);
    this.partition.onMessage = (message, hartId) => this.#receive(message, hartId);
  }

  get harts(): number {
    return this.partition.blocks.length;
  }

  /** Its harts wait for interrupts, all of them. */
  get idle(): boolean {
    const { words } = this.#vmm.machine;
    return this.partition.blocks.every((block) => {
      const state = Atomics.load(words, (block + RUN_STATE) >>> 2);
      return state === RUN_STATE_IDLE || state === RUN_STATE_STOPPED;
    });
  }

  /** The console, hvc0. */
  get terminal(): ConsolePort {
    return this.console.ports[0];
  }

  /** The console port of that name. */
  port(name: string): ConsolePort {
    const port = this.console.ports.find((p) => p.name === name);
    if (port === undefined) throw new RangeError(`${this.name} has no console port ${name}`);
    return port;
  }

  start(): void {
    this.partition.start(this.#entry, this.#deviceTreeAt, this.#pages);
  }

  /** Ends the instance at once, as pulling the plug does, and returns its partition to the computer. */
  async destroy(): Promise<void> {
    await this.partition.stop();
    if (!this.#destroyed) {
      this.#destroyed = true;
      // What it said last, before it stopped.
      this.#poll();
      // The frames will be somebody else's: a disk may still be reading for this guest.
      this.board.close();
      // And the hands' host learns only later that nobody will answer.
      this.mailbox.retire();
    }
    await this.partition.release();
    this.#end(this.#cause ?? { kind: 'stopped' });
  }

  #load(options: OsOptions, layout: Layout): void {
    const { space } = this.partition;
    const seed = new Uint8Array(64);
    this.#vmm.platform.randomBytes(seed);
    const { initramfs } = options;
    const tree = buildDeviceTree({
      harts: this.harts,
      memory: space.size,
      bootArguments: options.bootArguments ?? '',
      seed,
      ...(initramfs && { initrd: { start: layout.initramfs, end: layout.initramfs + initramfs.length } }),
    });
    space.write(layout.kernel, options.kernel);
    if (initramfs !== undefined) space.write(layout.initramfs, initramfs);
    space.write(layout.deviceTree, tree);
    this.#entry = layout.kernel;
    this.#deviceTreeAt = layout.deviceTree;
  }

  /** Does what the devices were asked for: called by `Turns`. */
  work(): void {
    if (this.#destroyed) return;
    // From here on a doorbell is worth a message again.
    Atomics.store(this.#vmm.machine.words, this.#pages.doorbell >>> 2, 0);
    this.#poll();
    this.#guarded(RING, () => this.onRing());
  }

  #later(): void {
    this.#unfinished = true;
    if (!this.#destroyed) this.#vmm.turns.later(this);
  }

  /** What the outside throws at this instance is this instance's end, and nobody else's. */
  #guarded(device: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failed(device, error);
    }
  }

  #failed(device: string, error: unknown): void {
    // Where it was thrown this thread may have left in the middle.
    this.#freeLocks(MAIN_THREAD);
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    void this.#finish({ kind: 'device-failed', device, message, error });
  }

  #freeLocks(holder: number): void {
    if (!this.#destroyed) freeLocks(this.#vmm.machine.buffer, this.#pages.board, holder);
  }

  /** The first cause is the one that is told: each hart may ask for a reset, again and again. */
  async #finish(end: OsEnd): Promise<void> {
    if (this.#cause !== undefined) return;
    this.#cause = end;
    await this.partition.stop();
    await this.#hearLastWords();
    this.#end(end);
  }

  /** What it said last is heard before it is said to have ended. */
  async #hearLastWords(): Promise<void> {
    for (let turn = 0; turn < LAST_TURNS && !this.#destroyed; turn++) {
      this.#unfinished = false;
      this.#poll();
      if (!this.#unfinished) return;
      await new Promise<void>((resolve) => this.#vmm.platform.soon(resolve));
    }
  }

  #poll(): void {
    this.board.poll();
    this.#guarded(DEBUG_CONSOLE, () => this.debugConsole.poll());
  }

  #receive(message: HartMessage, hartId: number): void {
    switch (message.type) {
      case 'doorbell':
        // The hands wait for no device.
        this.#guarded(RING, () => this.onRing());
        return this.#vmm.turns.want(this);
      case 'reset':
        void this.#finish({ kind: message.kind });
        return;
      case 'failed':
        this.#freeLocks(holderOf(this.partition.blocks[hartId]));
        void this.#finish({ kind: 'hart-failed', hart: hartId, message: message.message });
        return;
      case 'stopped':
        this.reports.push(message.report);
        return;
    }
  }
}

interface Layout {
  readonly kernel: number;
  readonly initramfs: number;
  readonly deviceTree: number;
}

/**
 * Where things go in guest-physical memory: the kernel at its offset, behind it the
 * device tree and the initramfs, clear of what the kernel needs for itself.
 */
function layOut(options: OsOptions, { textOffset, imageSize }: { textOffset: number; imageSize: number }): Layout {
  const up = (address: number): number => Math.ceil(address / ALIGNMENT) * ALIGNMENT;
  const kernel = RAM_BASE + textOffset;
  const deviceTree = up(kernel + imageSize);
  const initramfs = deviceTree + ALIGNMENT;
  const end = initramfs + (options.initramfs?.length ?? 0);
  // The kernel unpacks the initramfs before it frees the archive, and wants room to work.
  const needed = end - RAM_BASE + (options.initramfs?.length ?? 0) + 16 * 2 ** 20;
  if (needed > options.memory) {
    const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
    throw new GuestError(
      'too-little-memory',
      `${mib(options.memory)} MiB are too little for this kernel and initramfs: give it at least ${mib(needed)} MiB`,
    );
  }
  return { kernel, deviceTree, initramfs };
}
