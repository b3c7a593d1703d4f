/** An OS instance on a computer, with its console and its place on the network. */
import type { Hands } from '../guest/hands/hands.js';
import { GuestError } from '../guest/errors.js';
import type { MemoryReport, SizeOptions } from '../guest/memory-size.js';
import type { OsEnd, OsInstance } from '../guest/os-instance.js';
import type { ComputerDevice } from '../interposition/device.js';
import type { HartShare } from '../partition/harts.js';
import type { Forward, Port } from '../net/index.js';
import { addCard, type AddedCard } from './cards.js';
import { checkBytes, checkOptions } from './checks.js';
import { HotPlug, type Cable, type GivenDevice, type PlugOptions } from './hot-plug.js';
import { ByHands } from './by-hands.js';
import { setHarts } from './hart-plug.js';
import type { ForwardRequest } from './boot-options.js';
import type { Console, WaitOptions } from './console.js';
import { SystemError } from './errors.js';
import { shareOf, type ShareOptions } from './share.js';
import type { Network, Place } from './network.js';
import type { Shell } from './shell/shell.js';
import type { Shells } from './shell/shells.js';
import { shutDown, staysPaused } from './shutdown.js';
import { checkTimeout } from './timeout.js';

const PAGE = 4096;
/** Time for processes to end, and for the kernel to write everything out (ms). */
const SHUTDOWN_TIMEOUT = 30_000;

/** Where an OS instance is plugged in. */
export interface Plug {
  readonly network: Network;
  readonly place: Place;
  /** The switch's end of its cable, once it is connected; none with a card that is shared. */
  port?: Port;
}

/** How an instance came to its end. */
export type InstanceEnd = OsEnd & {
  /** What was thrown when its disks, forwards and cable were let go of; absent if nothing was. */
  readonly leftOver?: readonly unknown[];
};

/** How a guest is shut down. */
export interface ShutdownOptions {
  /** Milliseconds for the guest to do it by itself, 30,000 unless told. */
  readonly timeout?: number;
}

/** A guest that was booted: its console, its place on the network, its end. */
export class Instance {
  readonly #plug: Plug | undefined;
  readonly #forwards: Forward[] = [];
  readonly #cards: AddedCard[] = [];
  readonly #byHands: ByHands;
  readonly #hotPlug: HotPlug;
  /** By which the guest is asked to do something; undefined: there are none. A `Carrier` has them. */
  hands: Hands | undefined;
  /** Its address may be somebody else's from now on. */
  #isOver = false;
  /** Those that nobody has taken back yet. */
  readonly #pauses = new Set<Promise<() => void>>();
  #shutdown: Promise<InstanceEnd> | undefined;

  /** Made by `Computer.boot`. */
  constructor(
    /** The floor below: partition, devices, mailbox. */
    readonly os: OsInstance,
    readonly console: Console,
    private readonly shells: Shells,
    plug: Plug | undefined,
    /** How the instance came to its end; its harts and frames are the computer's again by then. */
    readonly ended: Promise<InstanceEnd>,
    cableOf: (device: ComputerDevice) => Cable | undefined = () => undefined,
  ) {
    this.#plug = plug;
    const isPaused = (): boolean => this.paused || os.partition.paused;
    this.#byHands = new ByHands({ os, hands: () => this.hands, isPaused, ended });
    this.#hotPlug = new HotPlug(os, this.#byHands, cableOf);
    void os.ended.then(() => {
      this.#isOver = true;
    });
  }

  get name(): string {
    return this.os.name;
  }

  /** The computer's devices that it has, in the order of their slots: console, entropy, disks, network cards. */
  get devices(): readonly ComputerDevice[] {
    return this.os.devices;
  }

  /** Its IPv4 address on the computer's network, dotted. */
  get address(): string | undefined {
    return this.#plug?.place.address;
  }

  /**
   * Its port of the computer's switch: where packets for something that moves between instances are released to. None if
   * it shares another's card.
   */
  get port(): Port | undefined {
    return this.#plug?.port;
  }

  /** The switch's end of the cable of one of its network cards, by the card's name in the computer. */
  portOf(id: string): Port | undefined {
    const card = this.#cards.find(({ device }) => device.id === id);
    if (card !== undefined) return card.port;
    return this.os.devices.some((device) => device.id === id) ? this.port : undefined;
  }

  /** Network cards that it got while it ran, in the order of their slots. */
  get cards(): readonly AddedCard[] {
    return this.#cards;
  }

  /**
   * Adds a network card. Its kernel finds it when it scans its bus (`/sys/bus/pci/rescan`); there is no cable in it yet.
   * Throws SystemError `no-network` or `ended`, GuestError `too-many-devices`, InterpositionError `no-room`.
   */
  addCard(): AddedCard {
    if (this.#plug === undefined) throw new SystemError('no-network', `${this.name} is on no network`);
    this.#refuseIfOver();
    const card = addCard(this.os, this.#plug.network);
    this.#cards.push(card);
    return card;
  }

  /**
   * Gives it a disk or network card of the computer that nobody has (`Computer.addDisk`, `addNic`), while it runs. Until
   * then it finds nothing of it; now its kernel looks for it, as its hands ask it to. Resolves when it has found it.
   *
   * Throws SystemError `no-hands`, `paused`, `ended`, `refused` (it looked and did not find it), GuestError
   * `too-many-devices`, InterpositionError `mode` (another has it), `closed`: nobody has the device then; SystemError
   * `timeout`: it may find it yet, and `takeBack` takes it back.
   *
   *     const disk = await computer.addDisk('data.img');
   *     const { name } = await carrier.instance.give(disk); // vdb
   */
  give(device: ComputerDevice, options?: PlugOptions): Promise<GivenDevice> {
    return this.#hotPlug.give(device, options);
  }

  /**
   * Takes a disk or network card back from the running guest, which writes out what it has not written to a disk, and lets
   * go of it. The device is the computer's again then, as new but for what a disk holds, and its slot is empty.
   *
   * Throws SystemError `in-use` (the disk is mounted or somebody's alone in another way, the card is a domain's),
   * `timeout`, `refused`, `no-hands`, `paused`, `invalid` (a console), InterpositionError `mode` (it has it not), `in-use`
   * (something is done at it: `device.uses`), `busy`: it has the device still. SystemError `ended`: nobody has.
   */
  takeBack(device: ComputerDevice, options?: PlugOptions): Promise<void> {
    return this.#hotPlug.takeBack(device, options);
  }

  /** Harts that it has now. */
  get harts(): number {
    return this.os.harts;
  }

  /**
   * Gives it harts, or takes some back, until it has `count`: from 1 to the `maxHarts` that it was booted with. Its kernel
   * begins to run on each that it is given, and moves what runs on one elsewhere before it is taken.
   *
   * Throws SystemError `invalid`, `no-hands`, `paused`, `ended`, `timeout`, `refused` (its kernel does not), ComputerError
   * `no-hart` (the computer has none left): harts that have come or gone until then have.
   *
   *     await carrier.instance.setHarts(4); // nproc says 4 there
   */
  setHarts(count: number, options?: PlugOptions): Promise<void> {
    return setHarts(this.os, this.#byHands, count, options);
  }

  /** What it has of harts that it shares: as it was told, and the milliseconds that it had. Undefined: its harts are its own. */
  get share(): HartShare | undefined {
    return this.os.partition.share;
  }

  /**
   * Changes its weight, or the limit of its time, from now on. Throws SystemError `invalid`: for what is no weight, or an
   * instance whose harts are its own.
   */
  setShare(options: ShareOptions): void {
    const { share } = this.os.partition;
    if (share === undefined) throw new SystemError('invalid', `the harts of ${this.name} are its own`);
    const to = shareOf(options, { weight: share.weight, cpu: share.cpu });
    if (to !== undefined && !this.#isOver) share.set(to);
  }

  get forwards(): readonly Forward[] {
    return this.#forwards;
  }

  /**
   * Opens a port of the host that leads to a port of the guest.
   * Rejects with NetError (`PORT_IN_USE` …), or SystemError `no-network` or `ended`: it closes with the instance.
   */
  async forward({ guestPort, ...request }: ForwardRequest): Promise<Forward> {
    if (this.#plug === undefined) throw new SystemError('no-network', `${this.name} has no network card`);
    this.#refuseIfOver();
    const { network, place } = this.#plug;
    const forward = await network.gateway.forward({ ...request, guest: place.address, guestPort });
    if (this.#isOver) await forward.close();
    this.#refuseIfOver();
    this.#forwards.push(forward);
    return forward;
  }

  #refuseIfOver(): void {
    if (this.#isOver) throw new SystemError('ended', `${this.name} has ended; nothing can lead to it`);
  }

  /**
   * A shell of its own, driven by the program. The first one waits for a prompt on the console and starts from there;
   * the console is free again then. Several may be open at once, as many as there are console ports left for.
   * Throws SystemError `timeout`, `ended`, `no-port`, or `no-shell`: at once, where the guest runs a script (`run`) in place
   * of a shell on its console, as a `Carrier` does, and no prompt stands there.
   */
  shell(options: WaitOptions = {}): Promise<Shell> {
    return this.shells.open(options);
  }

  /**
   * How it stands with its memory, if that can change (`maxMemory`, `guaranteed`); undefined: all of it is its own. What the
   * guest says of itself is what it said when it was last asked, and asking is what this does too.
   */
  get memory(): MemoryReport | undefined {
    return this.os.memory?.report();
  }

  /**
   * Gives it more memory, up to its `maxMemory`, or takes some back; resolves when its kernel works with so much. What it
   * is given it may use at once; what is taken it gives back as it frees it. A guest that uses more than it is to have
   * ends processes of its own.
   *
   * Throws SystemError `invalid`, `paused`, or `ended`; ComputerError `no-frames` if the computer cannot guarantee it so much, and
   * nothing has changed then; GuestError `memory-not-followed` when the time is over (`reached` says how far it came: its
   * driver, virtio_balloon, may not be loaded) and `superseded` when it was asked for another size meanwhile: it is still
   * asked then, and may follow later. An end of waiting by `signal` is the same.
   *
   *     const guest = await computer.boot({ image, memory: 2 ** 28, maxMemory: 2 ** 30 });
   *     await guest.setMemory(2 ** 29);
   */
  async setMemory(bytes: number, options: SizeOptions = {}): Promise<void> {
    const { timeout } = checkOptions('how memory is set', options);
    if (timeout !== undefined) checkTimeout(timeout);
    const { memory } = this.os;
    if (memory === undefined) {
      throw new SystemError('invalid', `${this.name} was booted with memory that does not change: give it a maxMemory`);
    }
    const { maxMemory } = memory.report();
    checkBytes(`the memory of ${this.name}`, bytes, { least: PAGE, most: maxMemory, unit: PAGE });
    this.#refuseIfOver();
    if (this.paused) throw new SystemError('paused', `${this.name} is paused: its kernel does nothing`);
    await memory.set(bytes / PAGE, options).catch(async (error: unknown) => {
      if (!(error instanceof GuestError && error.code === 'stopped')) throw error;
      await this.ended;
      throw new SystemError('ended', `${this.name} has ended`, { cause: error });
    });
  }

  /**
   * Makes all its harts stand still; resolves when they do. To be followed by `resume`: as often as `pause` was called,
   * should several have called it. An instance that has ended stands still already.
   * Throws ComputerError `hart-failed` if a hart does not answer; there is nothing to resume then.
   */
  async pause(): Promise<void> {
    const pause = this.os.partition.pause();
    this.#pauses.add(pause);
    try {
      await pause;
    } catch (error) {
      this.#pauses.delete(pause);
      throw error;
    }
  }

  /** Takes back one `pause`; without one it does nothing. */
  resume(): void {
    const [pause] = this.#pauses;
    if (pause === undefined) return;
    this.#pauses.delete(pause);
    pause.then(
      (letGo) => letGo(),
      () => undefined,
    );
  }

  /** It was paused, and not resumed as often. */
  get paused(): boolean {
    return this.#pauses.size > 0;
  }

  /**
   * Has the guest shut down: processes are told to end, file systems are written out and made read-only, and the
   * kernel powers off. A guest that does not within the time is switched off, and `kind` is `stopped` then: what it had
   * not written to its disks is lost. Effect either way: it has ended, and its harts and memory are free.
   *
   * It is asked through the console, by magic SysRq keys; a kernel without them, or on a serial console, cannot hear.
   *
   * Throws SystemError `paused` while somebody holds it paused, at once, or, when it is paused meanwhile and has not been
   * resumed, when the time is over. Effect then: none, or the guest has been asked and goes on with it when it is resumed.
   */
  async shutdown({ timeout = SHUTDOWN_TIMEOUT }: ShutdownOptions = {}): Promise<InstanceEnd> {
    checkTimeout(timeout);
    this.#shutdown ??= this.#shutDown(timeout).finally(() => {
      this.#shutdown = undefined;
    });
    return this.#shutdown;
  }

  /** Ends the instance at once, as pulling the plug does. */
  async destroy(): Promise<void> {
    await this.os.destroy();
    await this.ended;
  }

  async #shutDown(timeout: number): Promise<InstanceEnd> {
    if (this.paused && !this.#isOver) throw this.#isPaused();
    // A guest that waits for our reader cannot shut down.
    this.console.letGo();
    if (this.console.hearsSysRq) await shutDown(this.os, this.console, timeout);
    // Whoever stands still has not refused.
    if ((await staysPaused(this.os)) && !this.#isOver) throw this.#isPaused();
    await this.destroy();
    return this.ended;
  }

  #isPaused(): SystemError {
    const message = `${this.name} is paused and cannot shut down: resume it first, or destroy it, which loses what it has not written`;
    return new SystemError('paused', message);
  }
}
