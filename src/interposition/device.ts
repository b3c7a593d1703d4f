/**
 * A device of the computer: who has it, and whether the monitor stands between.
 *
 *      direct                                   interposed
 *      slot ──▶ device's page ◀── device        slot ──▶ the monitor's page ◀── emulation (same kind, same state)
 *                 │                                                               │
 *                 line ──▶ the instance's PLIC   device's page ◀── our driver ◀───┘
 *                                                  line ──▶ the driver
 */
import type { Board } from '../computer/board.js';
import { interruptOf } from '../computer/pci/host.js';
import type { Turns, TurnTaker } from '../computer/turns.js';
import type { Surroundings, VirtioDevice } from '../computer/virtio/device.js';
import type { Driver } from './driver/driver.js';
import { InterpositionError } from './errors.js';
import type { Kind, DeviceKindName } from './kind.js';
import { MonitorMemory, type MonitorMachine } from './monitor-memory.js';
import { checkParts, putParts, takeParts } from './parts.js';
import { Route } from './route.js';
import { standStill, type SwitchReport } from './stand-still.js';

export type { SwitchReport } from './stand-still.js';

/** Who stands between a device and the OS that uses it. */
export type DeviceMode = 'unused' | 'direct' | 'interposed';

/** Numbers of a device since it was made. */
export interface DeviceCounters {
  /** Switches: steps in, and away. */
  interposed: number;
  steppedAway: number;
  /** Attempts that ended with an error. */
  refused: number;
  /** Accesses to memory that were not made, because its user has none there or may not write it. */
  refusedDmas: number;
  /** Times that the monitor's code ran for the device. */
  monitorEntries: number;
  /** Of those, how many while the device was direct: none. */
  monitorEntriesWhenDirect: number;
}

/** How a device changes hands. */
export interface SwitchOptions {
  /** Milliseconds to wait until what goes on is over; 5,000 unless told. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_TIMEOUT = 5000;

/** Something that the monitor does at a device, for as long as it is wanted. */
export interface Use {
  /** In words. */
  readonly what: string;
  /** Ends it. If the monitor stepped in for this, and nothing else is left that it stays for, it steps away. */
  end(options?: SwitchOptions): Promise<void>;
}

/** What devices need of the computer. */
export interface DeviceGround {
  readonly machine: MonitorMachine;
  readonly frames: ConstructorParameters<typeof MonitorMemory>[1];
  readonly turns: Turns;
  readonly soon: (run: () => void) => void;
}

/** Where a device is plugged in. */
interface Place {
  readonly board: Board;
  readonly slot: number;
  readonly user: string;
}

/** The monitor between a device and the OS instance that uses it. */
interface Between<D extends Driver> {
  readonly memory: MonitorMemory;
  readonly driver: D;
  readonly emulation: VirtioDevice;
}

/** Surroundings of a device that is nobody's. */
function nowhere(turns: Turns): Surroundings {
  const bytes = new Uint8Array(0);
  return {
    dma: { bytes, view: new DataView(bytes.buffer), offsetOf: () => -1, written: none },
    line: { set: none },
    doorbell: none,
    budget: turns,
    underWay: { bytes: 0 },
    wakeHarts: none,
    failed: none,
  };
}

/** One device of the computer, of any kind. */
export class ComputerDevice<T extends VirtioDevice = VirtioDevice, D extends Driver = Driver> implements TurnTaker {
  readonly kind: DeviceKindName;
  /** The device itself. */
  readonly device: T;
  readonly counters: DeviceCounters = {
    interposed: 0,
    steppedAway: 0,
    refused: 0,
    refusedDmas: 0,
    monitorEntries: 0,
    monitorEntriesWhenDirect: 0,
  };
  /** Told of each switch. */
  onSwitch: (mode: DeviceMode, report: SwitchReport) => void = () => undefined;

  readonly #ground: DeviceGround;
  readonly #kind: Kind<T, D>;
  readonly #route: Route;
  readonly #page: MonitorMemory;
  #monitorPage: MonitorMemory | undefined;
  #place: Place | undefined;
  #between: Between<D> | undefined;
  /** What the monitor does here, in words: it does not step away while it does. */
  readonly #uses = new Map<Use, () => void>();
  /** It stepped in for what it was to do, and not because it was told to. */
  #steppedInForUse = false;
  /** A switch is under way. */
  #switching: Promise<unknown> | undefined;
  #closed = false;
  #home: Board | undefined;
  /** Nobody has it, and what somebody asked of it is not over. */
  #isComingToRest = false;

  /** @param make makes the device over a host; its page is the computer's */
  constructor(
    /** Its name, which no other device of the computer has. */
    readonly id: string,
    ground: DeviceGround,
    kind: Kind<T, D>,
    make: (host: Route) => T,
  ) {
    this.kind = kind.name;
    this.#kind = kind;
    this.#ground = ground;
    this.#page = new MonitorMemory(ground.machine, ground.frames, 4096);
    this.#route = new Route(ground.machine.bytes, this.#page.start, nowhere(ground.turns));
    try {
      this.device = make(this.#route);
    } catch (error) {
      this.#page.release();
      throw error;
    }
  }

  get mode(): DeviceMode {
    if (this.#place === undefined) return 'unused';
    return this.#between === undefined ? 'direct' : 'interposed';
  }

  /** The OS instance that has the device; undefined: none. */
  get user(): string | undefined {
    return this.#place?.user;
  }

  /** The monitor's driver of the device, while there is one. */
  get driver(): D | undefined {
    return this.#between?.driver;
  }

  /** The PCI slot in which the OS instance that has it finds it. */
  get slot(): number | undefined {
    return this.#place?.slot;
  }

  /** Whether it is plugged in there. */
  isOn(board: Board): boolean {
    return this.#place?.board === board;
  }

  /** Byte offset of the page in which the OS finds the device's state now. */
  get statePage(): number {
    return (this.#between?.emulation ?? this.device).page * 4;
  }

  /**
   * Gives the device to an OS instance, which finds it in that slot. Throws InterpositionError `mode` if it is another's, or
   * not yet at rest after it was, `closed`.
   */
  give(board: Board, slot: number, user: string): void {
    if (this.#closed) throw new InterpositionError('closed', `${this.id} was taken out of the computer`);
    if (this.#place !== undefined) {
      throw new InterpositionError('mode', `${this.id} belongs to ${this.#place.user} already`);
    }
    if (this.#home !== undefined && this.#home !== board) {
      throw new InterpositionError('mode', `${this.id} was made for another OS instance, and goes with that`);
    }
    if (this.#isComingToRest) {
      throw new InterpositionError('mode', `${this.id} has to finish what its last user asked of it first`);
    }
    board.put(slot, this.device);
    this.#route.lead(this.#counted(board.surroundings(slot)));
    this.#place = { board, slot, user };
    this.device.goOn();
  }

  /** From now on no other OS instance is given it. */
  bindTo(board: Board): void {
    this.#home = board;
  }

  /**
   * Begins to interpose: from now on the monitor answers the OS in the device's place, and drives the device itself, until
   * it is told to step away.
   * Throws InterpositionError `mode`, `busy`, `no-room`, `state`, `closed`; nothing has changed then.
   */
  interpose(options: SwitchOptions = {}): Promise<SwitchReport> {
    return this.#inTurn(async () => {
      const report = await this.#interpose(options);
      this.#steppedInForUse = false;
      return report;
    });
  }

  /**
   * Steps away: the OS drives the device directly again, from the state that the monitor's emulation is in.
   * Throws InterpositionError `in-use`, `mode`, `busy`, `state`, `closed`; nothing has changed then.
   */
  stepAway(options: SwitchOptions = {}): Promise<SwitchReport> {
    return this.#inTurn(() => this.#stepAway(options));
  }

  /** What the monitor does here now. */
  get uses(): readonly Use[] {
    return [...this.#uses.keys()];
  }

  /**
   * Has the monitor stay for something, in words, and step in first if the device is direct. `begin` is called while it
   * stands between, and answers what ends it: that is called once, when the use ends, or the OS instance that has the
   * device. `more` is what the use has besides. Throws as `interpose` does, or what `begin` throws; nothing is left of it
   * then.
   */
  protected async use<More extends object>(
    what: string,
    begin: () => (() => void) | Promise<() => void>,
    more: More = {} as More,
  ): Promise<Use & More> {
    const use: Use & More = Object.assign(more, {
      what,
      end: async (options: SwitchOptions = {}) => {
        // Where it could not step away yet, it is asked again.
        this.#endUse(use);
        await this.#leaveIfUnused(options);
      },
    });
    // From here on nobody steps away.
    this.#uses.set(use, none);
    try {
      await this.#beThere();
      await this.beforeUse();
      const end = await begin();
      if (!this.#uses.has(use)) {
        end();
        throw new InterpositionError('closed', 'the OS instance is gone');
      }
      this.#uses.set(use, end);
    } catch (error) {
      this.#uses.delete(use);
      await this.#leaveIfUnused({}).catch(none);
      throw error;
    }
    return use;
  }

  #endUse(use: Use): void {
    const end = this.#uses.get(use);
    this.#uses.delete(use);
    end?.();
  }

  /** The monitor stands between, after whatever switch is under way. */
  async #beThere(): Promise<void> {
    while (this.#switching !== undefined) await this.#switching.catch(none);
    if (this.mode === 'interposed') return;
    await this.#inTurn(async () => {
      const report = await this.#interpose({});
      this.#steppedInForUse = true;
      return report;
    });
  }

  /** It steps away if it stepped in for a use, and none is left. */
  async #leaveIfUnused(options: SwitchOptions): Promise<void> {
    while (this.#switching !== undefined) await this.#switching.catch(none);
    if (this.#uses.size > 0 || this.mode !== 'interposed') return;
    this.afterUses();
    if (!this.#steppedInForUse) return;
    try {
      await this.stepAway(options);
      this.#steppedInForUse = false;
    } catch (error) {
      // Another use has come meanwhile, or the instance has ended.
      if (this.#uses.size > 0 || this.#place === undefined) return;
      throw error;
    }
  }

  /** The monitor stands between, and is about to do something: what would go past it must not any more. */
  protected beforeUse(): Promise<void> {
    return Promise.resolve();
  }

  /** It does nothing any more. */
  protected afterUses(): void {
    // Most devices go past nothing.
  }

  /** Who stands in for the device, while it is interposed. */
  protected get emulation(): VirtioDevice | undefined {
    return this.#between?.emulation;
  }

  async #inTurn(work: () => Promise<SwitchReport>): Promise<SwitchReport> {
    while (this.#switching !== undefined) await this.#switching.catch(none);
    const switching = work();
    this.#switching = switching;
    try {
      const report = await switching;
      this.#tellOfSwitch(report);
      return report;
    } catch (error) {
      this.counters.refused++;
      throw error;
    } finally {
      this.#switching = undefined;
    }
  }

  #tellOfSwitch(report: SwitchReport): void {
    try {
      this.onSwitch(this.mode, report);
    } catch {
      // Whoever looks on has no part in the switch, which is made.
    }
  }

  #usedPlace(mode: DeviceMode): Place {
    const place = this.#place;
    if (place === undefined || this.mode !== mode) {
      const is = place === undefined ? 'belongs to no OS instance' : `is ${this.mode} already`;
      throw new InterpositionError('mode', `${this.id} ${is}`);
    }
    return place;
  }

  /** Has `change` done when who answers in the slot stands still, in a place that is still the device's. */
  #whenStill(
    place: Place,
    device: VirtioDevice,
    goesOn: () => string | undefined,
    { timeout = DEFAULT_TIMEOUT, signal }: SwitchOptions,
    change: () => void,
  ): Promise<SwitchReport> {
    if (!(timeout >= 0)) throw new InterpositionError('invalid', `a timeout of ${timeout} ms`);
    const { board, slot } = place;
    const isGone = (): boolean => this.#place !== place || device.isOut;
    const { soon } = this.#ground;
    return standStill({ board, slot, device, goesOn, isGone, limit: timeout, soon, signal }, change);
  }

  /** What goes on between who answers in a slot and the OS, in words. */
  #goesOnAt({ board, slot }: Place, answers: VirtioDevice): string | undefined {
    const why = answers.goesOn();
    if (why !== undefined) return why;
    return board.plic.isIdle(interruptOf(slot)) ? undefined : 'an interrupt that is not completed';
  }

  async #interpose(options: SwitchOptions): Promise<SwitchReport> {
    const place = this.#usedPlace('direct');
    const { machine, frames } = this.#ground;
    const memory = new MonitorMemory(machine, frames, this.#kind.driverBytes);
    try {
      const page = (this.#monitorPage ??= new MonitorMemory(machine, frames, 4096)).start;
      const goesOn = (): string | undefined => this.#goesOnAt(place, this.device);
      const report = await this.#whenStill(place, this.device, goesOn, options, () =>
        this.#stepIn(place, memory, page),
      );
      this.counters.interposed++;
      return report;
    } catch (error) {
      memory.release();
      throw error;
    }
  }

  #stepIn({ board, slot }: Place, memory: MonitorMemory, page: number): void {
    const { machine } = this.#ground;
    const { device } = this;
    const parts = takeParts(machine.buffer, this.#page.start);
    checkParts(parts, parts);
    putParts(machine.buffer, page, parts);
    let driver: D | undefined;
    try {
      driver = this.#kind.drive(device, memory);
      this.#route.lead(this.#monitorSurroundings(memory, driver, board.surroundings(slot)));
      const host = new Route(machine.bytes, page, this.#watched(this.#counted(board.surroundings(slot)), driver));
      const emulation = this.#kind.emulate(host, driver, device);
      this.#between = { memory, driver, emulation };
      const drives = driver;
      drives.entered = () => this.#enteredFor(drives);
      drives.configured = () => {
        emulation.adoptConfiguration(device.configuration().slice());
      };
      board.answerWith(slot, emulation);
      emulation.goOn();
      device.goOn();
    } catch (error) {
      driver?.close();
      this.#between?.emulation.detach();
      this.#between = undefined;
      this.#takeBack(parts, board, slot);
      throw error;
    }
  }

  async #stepAway(options: SwitchOptions): Promise<SwitchReport> {
    const place = this.#usedPlace('interposed');
    this.#refuseIfUsed();
    const between = this.#between;
    if (between === undefined) throw new InterpositionError('mode', `${this.id} is not interposed`);
    const { driver, emulation } = between;
    const goesOn = (): string | undefined =>
      this.#goesOnAt(place, emulation) ?? this.#kind.goesOn?.() ?? driver.goesOn ?? this.device.goesOnInside();
    const report = await this.#whenStill(place, emulation, goesOn, options, () => this.#giveBack(place, between));
    this.counters.steppedAway++;
    return report;
  }

  #giveBack({ board, slot }: Place, { driver, emulation, memory }: Between<D>): void {
    const { machine } = this.#ground;
    // Somebody may have begun to use it during the wait.
    this.#refuseIfUsed();
    // What has become of the device just now, a change of its configuration too, is the emulation's as well.
    driver.look();
    const parts = takeParts(machine.buffer, emulation.page * 4);
    checkParts(parts, takeParts(machine.buffer, this.#page.start));
    this.#kind.release?.(this.device, driver);
    driver.close();
    this.#takeBack(parts, board, slot);
    emulation.detach();
    this.#between = undefined;
    memory.release();
  }

  #refuseIfUsed(): void {
    const [use] = this.#uses.keys();
    if (use !== undefined) throw new InterpositionError('in-use', `${this.id} stays with the monitor: ${use.what}`);
  }

  /** The device goes on for the OS, from a state. */
  #takeBack(parts: Uint8Array, board: Board, slot: number): void {
    putParts(this.#ground.machine.buffer, this.#page.start, parts);
    this.#route.lead(this.#counted(board.surroundings(slot)));
    this.#ground.turns.forget(this);
    board.answerWith(slot, this.device);
    this.device.goOn();
  }

  /** The device's surroundings while the monitor drives it. What its guest asks for is metered where the guest asks. */
  #monitorSurroundings(memory: MonitorMemory, driver: Driver, guest: Surroundings): Surroundings {
    const { turns } = this.#ground;
    return {
      dma: memory,
      line: driver.line,
      doorbell: () => turns.later(this),
      budget: { credit: Infinity, renew: () => true },
      underWay: { bytes: 0 },
      wakeHarts: none,
      fault: (message) => {
        if (this.device.broken) driver.fail(new InterpositionError('state', `the device: ${message}`));
        // What it cannot do it says as it does to its own guest.
        else guest.fault?.(message);
      },
      failed: (error) => {
        driver.fail(error);
        if (guest.failed === undefined) throw error;
        guest.failed(error);
      },
    };
  }

  /** Whoever reaches the guest's memory for this device, itself or who stands in for it, is counted. */
  #counted(surroundings: Surroundings): Surroundings {
    const refused = (): void => {
      this.counters.refusedDmas++;
      surroundings.refused?.();
    };
    return { ...surroundings, refused };
  }

  /** The emulation's surroundings: those of its slot. */
  #watched(surroundings: Surroundings, driver: D): Surroundings {
    const { line } = surroundings;
    const set = (level: boolean): void => {
      this.#enteredFor(driver);
      line.set(level);
    };
    return { ...surroundings, line: { set } };
  }

  /** The monitor's code runs for the device: the driver, or the emulation before it. */
  #enteredFor(driver: D | undefined): void {
    this.counters.monitorEntries++;
    if (driver === undefined || this.#between?.driver !== driver) this.counters.monitorEntriesWhenDirect++;
  }

  /** The device has been kicked by the monitor's driver, or wants to go on: called by `Turns`. */
  work(): void {
    const driver = this.#between?.driver;
    this.#enteredFor(driver);
    if (driver === undefined) return;
    this.device.poll();
    driver.look();
  }

  /**
   * The OS instance that had it is gone: the device is nobody's, and reaches nobody's memory, from now on. Resolves when
   * what it had under way is over, and it stands as it came out of the factory but for what it holds.
   */
  async leave(): Promise<void> {
    const place = this.#place;
    if (place === undefined) return;
    const between = this.#unplug(place);
    // Sees that its place is gone.
    await this.#switching?.catch(none);
    await this.#comeToRest(between);
  }

  /**
   * Takes the device from an OS instance that runs, which should have let go of it: when no hart is at its registers or in
   * the middle of a request of it, its slot is empty, and it is as after `leave`.
   * Throws InterpositionError `in-use`, `mode`, `busy`, `closed`; nothing has changed then.
   */
  async withdraw(options: SwitchOptions = {}): Promise<void> {
    let between: Between<D> | undefined;
    await this.#inTurn(async () => {
      const place = this.#place;
      if (place === undefined) throw new InterpositionError('mode', `${this.id} belongs to no OS instance`);
      this.#refuseIfUsed();
      const answers = this.#between?.emulation ?? this.device;
      return await this.#whenStill(
        place,
        answers,
        // A driver that is gone leaves nothing; what another would go on with is not waited for.
        () => answers.goesOnInside(),
        options,
        () => {
          this.#refuseIfUsed();
          between = this.#unplug(place);
        },
      );
    });
    await this.#comeToRest(between);
  }

  /** At once nobody finds it in its slot any more, and it reaches nobody's memory. */
  #unplug(place: Place): Between<D> | undefined {
    const answers = this.#between?.emulation ?? this.device;
    // What harts have taken of a console's text has been said, and is passed on; the queues are nobody's.
    answers.holdKicks();
    answers.poll();
    this.#place = undefined;
    const uses = this.uses;
    this.#steppedInForUse = false;
    place.board.take(place.slot);
    this.#route.lead(nowhere(this.#ground.turns));
    this.#ground.turns.forget(this);
    const between = this.#between;
    this.#between = undefined;
    between?.driver.fail(new InterpositionError('closed', 'the OS instance is gone'));
    between?.driver.close();
    between?.emulation.detach();
    for (const use of uses) this.#endUse(use);
    return between;
  }

  async #comeToRest(between: Between<D> | undefined): Promise<void> {
    this.#isComingToRest = true;
    while (this.device.goesOnInside() !== undefined && !this.device.isOut) {
      this.device.poll();
      await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
    between?.memory.release();
    if (!this.device.isOut) this.device.powerCycle();
    this.#isComingToRest = false;
  }

  /** Takes the device out of the computer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const left = this.leave();
    this.device.detach();
    await left;
    this.#monitorPage?.release();
    this.#page.release();
  }
}

const none = (): undefined => undefined;
