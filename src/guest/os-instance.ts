/** An OS instance: a partition with its devices, a kernel in it, and what it says. */
import { Board, BOARD_SIZE, freeLocks } from '../computer/board.js';
import type { DebugConsoleOutput } from '../computer/debug-console.js';
import type { HartClaim } from '../computer/seat-table.js';
import { MAIN_THREAD } from '../computer/state-page.js';
import type { TurnTaker } from '../computer/turns.js';
import type { UartPort } from '../computer/uart.js';
import type { BlockBackend } from '../computer/virtio/block-backend.js';
import { PCI_SLOTS } from '../computer/pci/host.js';
import type { VirtioBlock } from '../computer/virtio/block.js';
import type { ConsolePort } from '../computer/virtio/console-port.js';
import { MAX_PORTS, type PortOptions, type VirtioConsole } from '../computer/virtio/console.js';
import type { NetOptions, VirtioNet } from '../computer/virtio/net.js';
import { FRAME_SIZE } from '../computer/memory.js';
import type { ComputerDevice, SwitchOptions } from '../interposition/device.js';
import { InterpositionError } from '../interposition/errors.js';
import { Devices, groundOf } from '../interposition/inventory.js';
import { DiskDevice } from '../interposition/kinds/disk.js';
import { NicDevice } from '../interposition/kinds/nic.js';
import { RUN_STATE, RUN_STATE_IDLE, RUN_STATE_STOPPED } from '../hart/state.js';
import { holderOf, type HartMessage, type HartReport } from '../partition/assignment.js';
import type { Partition } from '../partition/partition.js';
import type { ResetKind } from '../partition/sbi.js';
import type { Vmm } from '../partition/vmm.js';
import { MemoryPages } from '../partition/balloon-pages.js';
import { buildDeviceTree } from './device-tree.js';
import { GuestError } from './errors.js';
import { Mailbox, MAILBOX_SIZE } from './hands/mailbox.js';
import { layOut, type Layout } from './layout.js';
import { MemorySize } from './memory-size.js';

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
  /** Bytes of it that are its own from the start; all of it unless told. The rest it gets when it is first touched. */
  readonly guaranteed?: number;
  /** Bytes that `setMemory` can bring it to; `memory` unless told. Its device tree says so much, and a balloon keeps the difference. */
  readonly maxMemory?: number;
  readonly harts?: number;
  /** Harts that it may have some day; `harts` unless told. */
  readonly maxHarts?: number;
  /** Its harts are shared with other instances'; without, they are its own. */
  readonly share?: HartClaim;
  /** Disks, or what is to be the contents of new ones. */
  readonly disks?: readonly (BlockBackend | DiskDevice)[];
  readonly nics?: readonly (NetOptions | NicDevice)[];
  /** The computer's devices; of its own unless told. */
  readonly inventory?: Devices;
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
 * | `out-of-frames`                  | it touched memory beyond what is guaranteed, and the computer had none for it   |
 */
export type OsEnd =
  | { readonly kind: ResetKind | 'stopped' }
  | { readonly kind: 'out-of-frames'; readonly message: string }
  | { readonly kind: 'hart-failed'; readonly hart: number; readonly message: string }
  | { readonly kind: 'device-failed'; readonly device: string; readonly message: string; readonly error: unknown };

/** What the main thread keeps for an OS instance beside its devices. */
const DEBUG_CONSOLE = 'debug console';
const RING = 'ring of the hands';

/** What the console prints is passed on in pieces of so many milliseconds. */
const GATHER = 4;
/** Turns in which a guest that has ended is still heard: what its queues can hold, and no more. */
const LAST_TURNS = 64;

/** Slot 0 would be the host bridge's. */
const FIRST_SLOT = 1;
/** The console and the entropy device, before disks and network cards. */
const OWN_DEVICES = 2;

/** Only memory that can change, or that is not all its own, needs a balloon: others find the devices that they always did. */
const hasBalloon = ({ memory, maxMemory = memory, guaranteed = memory }: OsOptions): boolean =>
  maxMemory > memory || guaranteed < memory;

/** Throws GuestError `too-many-devices`. */
function checkDevices(options: OsOptions): void {
  const { disks = [], nics = [], ports = [] } = options;
  const room = PCI_SLOTS - FIRST_SLOT - OWN_DEVICES - (hasBalloon(options) ? 1 : 0);
  if (disks.length + nics.length > room) {
    throw new GuestError(
      'too-many-devices',
      `${disks.length} disks and ${nics.length} network cards: there is room for ${room} of them together`,
    );
  }
  if (ports.length > MAX_PORTS - 1) {
    throw new GuestError(
      'too-many-devices',
      `${ports.length} console ports beside the console: there is room for ${MAX_PORTS - 1}`,
    );
  }
}

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
  /**
   * Told when a device stopped because the guest filled its queues with garbage, and when the host could not do what a
   * disk was asked for, which the guest sees as an I/O error; of each disk once for each `BlockError` code.
   */
  onDeviceFault: (message: string) => void = () => undefined;

  /** How much of its memory it may have; undefined: all of it, from the beginning to the end. */
  readonly memory: MemorySize | undefined;
  readonly board: Board;
  readonly #given: { readonly slot: number; readonly device: ComputerDevice }[] = [];
  /** What the harts did; filled as they stop. */
  readonly reports: HartReport[] = [];
  readonly #vmm: Vmm;
  /** What is plugged into which PCI slot. */
  readonly #devices = new Map<number, string>();
  readonly #inventory: Devices;
  /** Devices that were made for it, and go with it. */
  readonly #own: ComputerDevice[] = [];
  /** Why it ends, as soon as that is known. */
  #cause: OsEnd | undefined;
  readonly #pages: { readonly board: number; readonly mailbox: number; readonly doorbell: number };
  #end!: (end: OsEnd) => void;
  #entry = 0;
  #destroyed = false;
  #devicesLeft: Promise<unknown> | undefined;
  /** The devices were left with something to do. */
  #unfinished = false;
  #deviceTreeAt = 0;
  #refusedDmas = 0;

  /**
   * Puts the kernel into a new partition, ready to start.
   * Throws GuestError for a kernel that cannot be booted, ComputerError where the computer has too little left, or what
   * a disk or the platform throws; everything taken is given back then.
   */
  constructor(vmm: Vmm, options: OsOptions) {
    this.#vmm = vmm;
    this.name = options.name;
    checkDevices(options);
    this.#inventory = options.inventory ?? new Devices(groundOf(vmm));
    const { harts = 1, maxHarts = harts } = options;
    const layout = layOut({ ...options, harts: maxHarts });
    const { memory, maxMemory = memory, guaranteed = memory } = options;
    this.partition = vmm.partition(harts, maxMemory, { maxHarts, guaranteed, share: options.share });
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    let board: Board | undefined;
    try {
      this.#pages = {
        board: this.partition.allocate(BOARD_SIZE),
        mailbox: this.partition.allocate(MAILBOX_SIZE),
        doorbell: this.partition.allocate(FRAME_SIZE),
      };
      const { buffer } = vmm.machine;
      this.mailbox = new Mailbox(buffer, this.#pages.mailbox);
      this.board = board = new Board({
        buffer,
        offset: this.#pages.board,
        harts: this.partition.blocks,
        doorbell: () => this.#later(),
        budget: vmm.turns,
        dma: this.partition.space,
        refused: () => this.#refusedDmas++,
        fault: (slot, message) => this.onDeviceFault(`${this.#devices.get(slot) ?? 'a device'}: ${message}`),
        failed: (device, error) =>
          this.#failed(typeof device === 'string' ? device : (this.#devices.get(device) ?? `device ${device}`), error),
      });
      this.serial = board.uart;
      this.debugConsole = board.debugConsole;
      const { console, disks, nics } = this.#plugAll(board, options);
      this.memory = hasBalloon(options) ? this.#plugBalloon(board, options, layout) : undefined;
      this.console = console;
      this.disks = disks;
      this.nics = nics;
      this.#load(options, layout);
    } catch (error) {
      // Whatever rings for it from now on is too late.
      this.#destroyed = true;
      void this.#leaveDevices();
      board?.close();
      void this.partition.release();
      throw error;
    }
    this.partition.onMessage = (message, hartId) => this.#receive(message, hartId);
  }

  /** The devices that it has, in the order of their slots. */
  get devices(): readonly ComputerDevice[] {
    return this.#given.map(({ device }) => device);
  }

  /** Harts that it has now. */
  get harts(): number {
    return this.partition.given;
  }

  /** Accesses that its devices were asked for and did not make, because it has no memory there or may not write it. */
  get refusedDmas(): number {
    return this.#refusedDmas;
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
      this.console.gather = 0;
      this.#poll();
      // The frames will be somebody else's: a disk may still be reading for this guest.
      this.#devicesLeft = this.#leaveDevices();
      this.board.close();
      // And the hands' host learns only later that nobody will answer.
      this.mailbox.retire();
    }
    await this.partition.release();
    await this.#devicesLeft;
    this.#end(this.#cause ?? { kind: 'stopped' });
  }

  /** Functions made here live as long as the devices do: if one of them named `options`, so would kernel and initramfs. */
  #plugAll(
    board: Board,
    options: OsOptions,
  ): { console: VirtioConsole; disks: readonly VirtioBlock[]; nics: readonly VirtioNet[] } {
    const inventory = this.#inventory;
    const give = <C extends ComputerDevice>(name: string, device: C): C => {
      this.#give(board, () => name, device);
      return device;
    };
    const own = <C extends ComputerDevice>(device: C): C => {
      device.bindTo(board);
      this.#own.push(device);
      return device;
    };
    const { columns, rows, ports = [], disks = [], nics = [] } = options;
    const console = inventory.addConsole({
      ports: [{ console: true }, ...ports],
      gather: GATHER,
      ...(columns !== undefined && { columns }),
      ...(rows !== undefined && { rows }),
    });
    give('console', own(console));
    give('entropy device', own(inventory.addEntropy((into) => this.#vmm.platform.randomBytes(into))));
    const disk = (of: BlockBackend | DiskDevice): DiskDevice =>
      of instanceof DiskDevice ? of : own(inventory.addDisk(of));
    const nic = (of: NetOptions | NicDevice): NicDevice => (of instanceof NicDevice ? of : own(inventory.addNic(of)));
    return {
      console: console.device,
      disks: disks.map((of, n) => give(`disk ${n}`, disk(of)).device),
      nics: nics.map((of, n) => give(`network card ${n}`, nic(of)).device),
    };
  }

  /** Behind all others, so that those are where they would be without it. */
  #plugBalloon(board: Board, { memory, guaranteed }: OsOptions, { least }: Layout): MemorySize {
    const { space } = this.partition;
    const pages = new MemoryPages(space, (run) => this.#vmm.platform.soon(run));
    const device = this.#inventory.addBalloon(pages);
    device.bindTo(board);
    this.#own.push(device);
    this.#give(board, () => 'balloon', device);
    return new MemorySize(
      this.name,
      { balloon: device.device, pages, space },
      {
        memory: Math.floor(memory / FRAME_SIZE),
        guaranteed: guaranteed === undefined ? undefined : Math.floor(guaranteed / FRAME_SIZE),
        least: Math.ceil(least / FRAME_SIZE),
      },
    );
  }

  /** Puts a device into the first slot that is empty, and answers which. */
  #give(board: Board, name: (slot: number) => string, device: ComputerDevice): number {
    const slot = board.firstFree(FIRST_SLOT);
    if (slot === undefined) {
      const most = PCI_SLOTS - FIRST_SLOT;
      throw new GuestError(
        'too-many-devices',
        `${this.name} has no room for ${device.id}: all ${most} slots are taken`,
      );
    }
    device.give(board, slot, this.name);
    this.#devices.set(slot, name(slot));
    // What was there before was taken out of the computer.
    this.#forget((given) => given.slot === slot);
    this.#given.push({ slot, device });
    this.#given.sort((a, b) => a.slot - b.slot);
    return slot;
  }

  #forget(which: (given: { readonly slot: number; readonly device: ComputerDevice }) => boolean): void {
    const at = this.#given.findIndex(which);
    if (at >= 0) this.#given.splice(at, 1);
  }

  /**
   * Puts another network card into a slot of the running instance, which finds it when it scans its bus (`rescan` in its
   * sysfs). Throws GuestError `too-many-devices`, InterpositionError `no-room`.
   */
  addNic(options: NetOptions): { readonly device: NicDevice; readonly slot: number } {
    const device = this.#inventory.addNic(options);
    try {
      device.bindTo(this.board);
      const slot = this.plug(device);
      this.#own.push(device);
      return { device, slot };
    } catch (error) {
      void this.#inventory.remove(device);
      throw error;
    }
  }

  /**
   * Puts a device of the computer into an empty slot of the running instance, as `addNic` does; the slot. Throws GuestError
   * `too-many-devices`, InterpositionError `mode` (another has it), `closed`.
   */
  plug(device: ComputerDevice): number {
    return this.#give(this.board, (slot) => `${device.kind} in slot ${slot}`, device);
  }

  /**
   * Empties the slot of a device, which the guest should have let go of (`remove` in its sysfs); the device is the
   * computer's again, and as new but for what it holds. Throws InterpositionError `mode` if it has not the device, `in-use`,
   * `busy`, `closed`; it has it still then, but with `closed`.
   */
  async unplug(device: ComputerDevice, options?: SwitchOptions): Promise<void> {
    if (!device.isOn(this.board)) throw new InterpositionError('mode', `${this.name} has not got ${device.id}`);
    await device.withdraw(options);
    this.#forget((given) => given.device === device);
  }

  /** At once nothing of it touches the partition any more; resolves when nothing is under way. */
  #leaveDevices(): Promise<unknown> {
    this.memory?.end();
    const left = this.devices.filter((device) => device.isOn(this.board)).map((device) => device.leave());
    return Promise.all([...left, ...this.#own.map((device) => this.#inventory.remove(device))]);
  }

  #load(options: OsOptions, layout: Layout): void {
    const { space } = this.partition;
    const seed = new Uint8Array(64);
    this.#vmm.platform.randomBytes(seed);
    const { initramfs } = options;
    const tree = buildDeviceTree({
      harts: this.partition.blocks.length,
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
    this.partition.space.replenish();
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

  #freeLocks(holder: number, hart?: number): void {
    if (!this.#destroyed) freeLocks(this.#vmm.machine.buffer, this.#pages.board, holder, hart);
  }

  /** The first cause is the one that is told: each hart may ask for a reset, again and again. */
  async #finish(end: OsEnd): Promise<void> {
    if (this.#cause !== undefined) return;
    this.#cause = end;
    this.memory?.end();
    await this.partition.stop();
    this.console.gather = 0;
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

  #framesWanted(): string {
    const { resident, guaranteed, pages, taken, limit } = this.partition.space;
    const mib = (frames: number): string => `${Math.round((frames * FRAME_SIZE) / 2 ** 20)} MiB`;
    const has = `${this.name} has ${mib(resident)} of its ${mib(pages)}, of which ${mib(guaranteed)} are guaranteed`;
    return limit < pages && taken >= limit
      ? `${has}, and may have ${mib(limit)}: its kernel uses memory that its balloon was to keep (virtio_balloon); give it more`
      : `${has}, and the computer has no more: guarantee it more, give it less, or give the computer more memory`;
  }

  #receive(message: HartMessage, hartId: number): void {
    switch (message.type) {
      case 'doorbell':
        // A hart may stand still for want of a frame.
        this.partition.space.replenish();
        // The hands wait for no device.
        this.#guarded(RING, () => this.onRing());
        return this.#vmm.turns.want(this);
      case 'reset':
        void this.#finish({ kind: message.kind });
        return;
      case 'out-of-frames':
        void this.#finish({ kind: 'out-of-frames', message: this.#framesWanted() });
        return;
      case 'failed':
        this.#freeLocks(holderOf(this.partition.blocks[hartId]), hartId);
        void this.#finish({ kind: 'hart-failed', hart: hartId, message: message.message });
        return;
      case 'stopped':
        this.reports.push(message.report);
        return;
    }
  }
}
