/**
 * A computer with everything around it: the VMM, a network that leads outside, and the
 * OS instances that run on it. What src/index.ts gives to the world, with the
 * platform still to be chosen.
 */
import { BlockError, type BlockBackend } from '../computer/virtio/block-backend.js';
import { OverlayDisk } from '../computer/virtio/overlay-disk.js';
import { OsInstance, type OsEnd, type OsOptions } from '../guest/os-instance.js';
import { concatCpio } from '../image/index.js';
import type { ComputerDevice } from '../interposition/device.js';
import { DiskDevice } from '../interposition/kinds/disk.js';
import type { NicDevice } from '../interposition/kinds/nic.js';
import { Devices, groundOf } from '../interposition/inventory.js';
import type { SharedNic } from '../interposition/path/nic-types.js';
import { checkShare, parseIpv4, type Forward, type PortShare } from '../net/index.js';
import { Vmm } from '../partition/vmm.js';
import {
  consoleArguments,
  DEBIAN_ARGUMENTS,
  guessConsole,
  hartArguments,
  memoryArguments,
  takesSysRq,
  type ConsoleDevice,
} from './boot-arguments.js';
import type { BootOptions, DiskOptions, FileSource } from './boot-options.js';
import { connectCable } from './cable.js';
import { checkBytes, checkCount, checkOptions, checkSwitch } from './checks.js';
import { inspect, type InspectOptions, type Inspection } from './inspection.js';
import { NicLink } from './nic-link.js';
import type { AddedCard } from './cards.js';
import { Console } from './console.js';
import { SystemError } from './errors.js';
import { guestArchive } from './guest-files.js';
import { Instance, type InstanceEnd, type Plug } from './instance.js';
import { Shells } from './shell/shells.js';
import { MAX_PORTS } from '../computer/virtio/console.js';
import type { VirtioNet } from '../computer/virtio/net.js';
import { MemoryPressure } from './memory-pressure.js';
import { checkBoot, checkComputer, checkDisk } from './option-checks.js';
import { macBytes, macNumber } from './mac.js';
import { Network, type NetworkOptions } from './network.js';
import { shareOf } from './share.js';
import type { SystemPlatform } from './platform.js';

const PAGE = 4096;
/** Of what a guest writes to a disk whose changes are discarded (bytes). */
const MOST_CHANGES = 2 ** 30;

/** How large a computer is. */
export interface ComputerOptions {
  /** Bytes of memory for the OS instances together, 1 GiB unless told. At most a little under 4 GiB. */
  readonly memory?: number;
  /** Hardware threads, each a thread of the host; 2 unless told. */
  readonly harts?: number;
  /** Bytes and harts that `addMemory` and `addHarts` can bring it to; what it has unless told. */
  readonly maxMemory?: number;
  readonly maxHarts?: number;
  /** The network outside; false: the computer has none. */
  readonly network?: NetworkOptions | false;
  /** Have the harts keep account of where their time goes: `instance.os.reports` has it at the end. */
  readonly profile?: boolean;
}

/** What a boot has opened, and what it has to let go of. */
interface Resources {
  readonly disks: DiskDevice[];
  plug: Plug | undefined;
  unplug: (() => void) | undefined;
  forwards: readonly Forward[];
  cards: readonly AddedCard[];
}

/** A computer with a network, disks and consoles, on any platform. */
export class Computer {
  readonly vmm: Vmm;
  /** All devices that the computer has, whoever uses them. */
  readonly devices: Devices;
  readonly network: Network | undefined;
  readonly #platform: SystemPlatform;
  readonly #instances = new Map<string, Instance | undefined>();
  readonly #booting = new Set<Promise<unknown>>();
  readonly #links = new WeakMap<ComputerDevice, NicLink>();
  readonly #pressure: MemoryPressure;
  #closed = false;
  #count = 0;

  /** Throws ComputerError `too-large` or `memory`, SystemError `invalid`, NetError `BAD_CONFIG`. */
  constructor(platform: SystemPlatform, options: ComputerOptions = {}) {
    checkComputer(options);
    const { memory = 2 ** 30, harts = 2, network = {}, profile = false } = options;
    const { maxMemory = memory, maxHarts = harts } = options;
    if (maxMemory < memory || maxHarts < harts) {
      throw new SystemError('invalid', 'maxMemory and maxHarts are at least what the computer has');
    }
    this.#platform = platform;
    this.network = network === false ? undefined : new Network(network, platform);
    try {
      this.vmm = new Vmm(platform, { memory, harts, maxMemory, maxHarts, profile });
    } catch (error) {
      void this.network?.close();
      throw error;
    }
    this.devices = new Devices(groundOf(this.vmm));
    const { vmm } = this;
    this.#pressure = new MemoryPressure(vmm, vmm.machine.frames, () =>
      this.instances.flatMap(({ os }) => (os.memory === undefined ? [] : [os.memory])),
    );
  }

  /**
   * A disk that belongs to the computer, and to no OS instance until `boot` is given it; it outlives the instance, and can
   * be given to the next. It is closed with the computer, or by `devices.remove`.
   * Throws BlockError, InterpositionError `no-room`, SystemError `invalid`, `closed`.
   *
   *     const disk = await computer.addDisk('data.img');
   *     await computer.boot({ image, disks: [disk] });
   */
  async addDisk(disk: DiskOptions): Promise<DiskDevice> {
    this.#refuseIfClosed();
    checkDisk('a disk', disk);
    const device = await this.#open(disk);
    if (!this.#closed) return device;
    await this.devices.remove(device);
    throw new SystemError('closed', 'the computer was closed');
  }

  /**
   * A network card that belongs to the computer, and to no OS instance until one is given it (`Instance.give`). It has a
   * place on the computer's network, whose address its user has by DHCP (`linkOf`). It is closed with the computer, or by
   * `devices.remove`. `share`: what it may have of the network.
   * Throws SystemError `no-network` (there is none, or no place on it), `invalid`, `closed`, NetError `BAD_CONFIG` (the share),
   * InterpositionError `no-room`.
   */
  addNic(share?: PortShare): NicDevice {
    this.#refuseIfClosed();
    if (share !== undefined) checkShare(checkOptions('a share', share));
    const { network } = this;
    if (network === undefined) throw new SystemError('no-network', 'the computer was made without a network');
    const place = network.takePlace();
    let link: NicLink | undefined;
    try {
      const options = { mac: macBytes(place.mac), checksumsVerified: true };
      const nic = this.devices.addNic(options, () => link?.close());
      link = new NicLink(network, place, nic, share);
      this.#links.set(nic, link);
      return nic;
    } catch (error) {
      network.leavePlace(place);
      throw error;
    }
  }

  /** Where a card of `addNic` is on the network; undefined: it is none of these. */
  linkOf(device: ComputerDevice): NicLink | undefined {
    return this.#links.get(device);
  }

  /**
   * Adds memory while OS instances run, which see nothing of it: it belongs to nobody at first. Throws SystemError
   * `invalid` for what is no number of bytes, `closed`, ComputerError `too-large` beyond `maxMemory`; effect then: none.
   *
   *     const computer = await Computer.create({ memory: 2 ** 29, maxMemory: 2 ** 30 });
   *     computer.addMemory(2 ** 28);
   */
  addMemory(bytes: number): void {
    this.#refuseIfClosed();
    checkBytes('memory to be added', bytes);
    this.vmm.addMemory(bytes);
  }

  /**
   * Adds harts while OS instances run, which see nothing of them: they belong to nobody at first. Throws SystemError
   * `invalid`, `closed`, ComputerError `too-large` beyond `maxHarts`, or what the platform throws for want of threads;
   * effect then: none.
   */
  addHarts(count: number): void {
    this.#refuseIfClosed();
    checkCount('harts to be added', count, 1);
    this.vmm.addHarts(count);
  }

  /**
   * Who owns what now: frames, harts, devices, ports, counters. Plain data, made in a few milliseconds for a gibibyte; with
   * `map` also who has each frame. Throws SystemError `invalid`.
   *
   *     for (const { name, frames } of computer.inspect().frames.owners) console.log(name, frames);
   */
  inspect(options: InspectOptions = {}): Inspection {
    const { map } = checkOptions('how it is inspected', options);
    if (map !== undefined) checkSwitch('map', map);
    return inspect(this, options);
  }

  /** Harts that an OS instance could have to itself: those of nobody, less one if there are instances that share. */
  get freeHarts(): number {
    return this.vmm.freeHarts;
  }

  /** Bytes of memory that belong to nobody; a little of it is needed to run an OS instance. */
  get freeMemory(): number {
    return this.vmm.freeMemory;
  }

  /** The OS instances that run. */
  get instances(): readonly Instance[] {
    return [...this.#instances.values()].filter((instance) => instance !== undefined);
  }

  /**
   * Boots a kernel in a partition of its own. Resolves when it has begun to run; wait for its console, or for `ended`.
   *
   * Throws GuestError (`kernel-image`, `command-line`, `too-little-memory`, `too-many-devices`), ComputerError (`no-hart`, `no-frames`), SystemError
   * (`name-taken`, `not-readable`, `no-network`, `invalid`, `closed`), NetError (a port that is taken), BlockError (a
   * disk), InterpositionError (`mode`: a device that another instance has; `no-room`). Effect then: none.
   *
   *     const image = await prepareImage(shellProfile('trixie'));
   *     const guest = await computer.boot({ image, memory: 256 * 2 ** 20 });
   */
  async boot(options: BootOptions): Promise<Instance> {
    this.#refuseIfClosed();
    checkBoot(options);
    const name = options.name ?? this.#freeName();
    if (this.#instances.has(name)) throw new SystemError('name-taken', `an OS instance called ${name} runs already`);
    // The name is taken while files are being read.
    this.#instances.set(name, undefined);
    const resources: Resources = { disks: [], plug: undefined, unplug: undefined, forwards: [], cards: [] };
    const booting = this.#boot(name, options, resources).then(
      (instance) => {
        this.#instances.set(name, instance);
        return instance;
      },
      async (error: unknown) => {
        await this.#letGo(name, resources);
        throw error;
      },
    );
    this.#booting.add(booting);
    try {
      return await booting;
    } finally {
      this.#booting.delete(booting);
    }
  }

  /** Switches everything off. No thread, socket or open file remains. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pressure.close();
    // Those that have begun to boot notice, and take back what they opened.
    await Promise.allSettled(this.#booting);
    await Promise.all(this.instances.map((instance) => instance.destroy()));
    await this.devices.close();
    await this.network?.close();
    await this.vmm.close();
  }

  async #boot(name: string, options: BootOptions, resources: Resources): Promise<Instance> {
    const { network: wantsNetwork = this.network !== undefined, forwards = [] } = options;
    if (wantsNetwork !== false) {
      if (this.network === undefined) throw new SystemError('no-network', 'the computer was made without a network');
      resources.plug = { network: this.network, place: this.network.takePlace() };
    } else if (forwards.length > 0)
      throw new SystemError('no-network', 'ports can be forwarded to a network card only');

    const { harts = 1, maxHarts = harts } = options;
    const { memory = Math.min(this.#memoryLeft(maxHarts), options.maxMemory ?? Infinity) } = options;
    if (maxHarts < harts) throw new SystemError('invalid', `maxHarts (${maxHarts}) is at least harts (${harts})`);
    // What is left, if it was not told.
    checkBytes('memory', memory, { least: PAGE, unit: PAGE });
    const { maxMemory = memory, guaranteed = memory } = options;
    checkBytes('maxMemory', maxMemory, { least: memory, unit: PAGE });
    checkBytes('guaranteed', guaranteed, { least: 0, most: memory });
    const share = shareOf(options);
    const software = await this.#software(name, options, memory, resources.plug);
    const disks: DiskDevice[] = [];
    for (const [i, disk] of (options.disks ?? []).entries()) disks.push(await this.#disk(disk, i, resources));
    this.#refuseIfClosed();

    const { plug } = resources;
    const { ports = [] } = options;
    const forShells = Array.from({ length: Math.max(0, MAX_PORTS - 1 - ports.length) }, () => ({ later: true }));
    const given = isCard(wantsNetwork) ? wantsNetwork.mac : undefined;
    const mac = given ?? macBytes(plug?.place.mac ?? 0);
    const os = new OsInstance(this.vmm, {
      ...software.options,
      name,
      memory,
      harts,
      maxHarts,
      ...(share && { share }),
      inventory: this.devices,
      disks,
      nics: plug === undefined ? [] : [{ mac, checksumsVerified: true }],
      ports: [...ports, ...forShells],
      ...pick(options, ['maxMemory', 'guaranteed', 'columns', 'rows']),
    });
    // What was opened for it goes with it.
    for (const disk of resources.disks) disk.bindTo(os.board);
    const ended = os.ended.then(async (end: OsEnd): Promise<InstanceEnd> => {
      await os.destroy();
      await Promise.all(os.disks.map((disk) => disk.quiet()));
      const leftOver = await this.#letGo(name, resources);
      return leftOver.length === 0 ? end : { ...end, leftOver };
    });
    const { kernel, bootArguments = '' } = software.options;
    const console = new Console(os, software.console, takesSysRq(kernel, bootArguments), bootArguments);
    const shells = new Shells(
      os,
      console,
      os.console.ports.slice(1 + ports.length),
      (into) => this.#platform.randomBytes(into),
      options.run === undefined ? undefined : 'a script (`run`)',
    );
    const instance = new Instance(os, console, shells, plug, ended, (device) => this.linkOf(device));
    resources.forwards = instance.forwards;
    resources.cards = instance.cards;
    try {
      if (plug !== undefined) {
        if (isCard(wantsNetwork)) resources.unplug = this.#plugIn(os.nics[0], wantsNetwork, plug);
        else {
          plug.port = plug.network.attach(name, plug.place, typeof wantsNetwork === 'object' ? wantsNetwork : {});
          resources.unplug = connectCable(os.nics[0], plug.port);
        }
      }
      for (const forward of forwards) await instance.forward(forward);
      this.#refuseIfClosed();
      os.start();
    } catch (error) {
      await instance.destroy();
      throw error;
    }
    return instance;
  }

  async #software(
    name: string,
    options: BootOptions,
    memory: number,
    plug: Plug | undefined,
  ): Promise<{ console: ConsoleDevice; options: Pick<OsOptions, 'kernel' | 'initramfs' | 'bootArguments'> }> {
    const { bootArguments: extra = '', commandLine } = options;
    if (extra !== '' && commandLine !== undefined) {
      throw new SystemError('invalid', 'commandLine is all there is: it does not go with bootArguments');
    }
    const argumentsOf = (kernel: Uint8Array, ...ours: string[]): string =>
      commandLine ??
      [...ours, memoryArguments(kernel, memory), hartArguments(options), extra].filter((text) => text !== '').join(' ');
    if (options.image !== undefined) {
      const { image, run, files } = options;
      const own = guestArchive({
        hostname: name,
        ...(plug && { network: plug.network.settings(plug.place) }),
        ...(run !== undefined && { run }),
        ...(files && { files }),
      });
      const [kernel, base] = await Promise.all([this.#read(image.kernel), this.#read(image.initramfs)]);
      const bootArguments = argumentsOf(kernel, consoleArguments('hvc0'), DEBIAN_ARGUMENTS);
      return { console: 'hvc0', options: { kernel, initramfs: concatCpio([base, own]), bootArguments } };
    }
    const kernel = await this.#read(options.kernel);
    const console = options.console ?? guessConsole(kernel);
    const archives = await Promise.all(asList(options.initramfs).map((source) => this.#read(source)));
    const bootArguments = argumentsOf(kernel, consoleArguments(console));
    const initramfs = archives.length === 1 ? archives[0] : concatCpio(archives);
    return { console, options: { kernel, bootArguments, ...(archives.length > 0 && { initramfs }) } };
  }

  async #read(source: FileSource): Promise<Uint8Array> {
    if (typeof source !== 'string') return source;
    try {
      return await this.#platform.readFile(source);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SystemError('not-readable', `cannot read ${source}: ${why}`, { cause });
    }
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new SystemError('closed', 'the computer was closed');
  }

  async #disk(disk: DiskOptions | DiskDevice, index: number, resources: Resources): Promise<DiskDevice> {
    if (disk instanceof DiskDevice) return disk;
    try {
      const device = await this.#open(disk);
      resources.disks.push(device);
      return device;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      throw new BlockError(error.code, `disks[${index}]: ${error.message}`, { cause: error });
    }
  }

  async #open(disk: DiskOptions): Promise<DiskDevice> {
    if (typeof disk !== 'string' && 'read' in disk) {
      const unplug = 'plug' in disk ? disk.plug() : undefined;
      return this.devices.addDisk(disk, () => Promise.resolve(unplug?.()));
    }
    const {
      path,
      discardChanges = false,
      mostChanges = Math.min(MOST_CHANGES, (this.#platform.memory ?? Infinity) / 4),
      ...access
    } = typeof disk === 'string' ? { path: disk } : disk;
    const readOnly = access.readOnly ?? false;
    const open = await this.#platform.openDisk(path, { ...access, readOnly: readOnly || discardChanges });
    try {
      const backend: BlockBackend = discardChanges && !readOnly ? new OverlayDisk(open, { most: mostChanges }) : open;
      return this.devices.addDisk(backend, () => open.close());
    } catch (error) {
      await open.close();
      throw error;
    }
  }

  /** A card that is shared: the port of the instance that has it carries the other's addresses too. */
  #plugIn(nic: VirtioNet, shared: SharedNic, { place }: Plug): () => void {
    const owner = this.instances.find(({ os }) => os.devices.some(({ id }) => id === shared.of));
    const port = owner?.portOf(shared.of);
    if (port === undefined) throw new SystemError('no-network', `nobody has the card ${shared.of} any more`);
    const { mac } = nic.options;
    const ip = parseIpv4(place.address);
    const unplug = shared.plug(nic, { mac, ip });
    port.addresses.register({ mac: macNumber(mac), ip });
    return unplug;
  }

  /** What remains for the last OS instance when the VMM has taken for it what it needs itself. */
  #memoryLeft(harts: number): number {
    const forPagesAndDevices = 2 ** 20 * (1 + harts);
    return Math.floor(((this.freeMemory - forPagesAndDevices) * 0.998) / PAGE) * PAGE;
  }

  #freeName(): string {
    for (;;) {
      const name = `os${this.#count++}`;
      if (!this.#instances.has(name)) return name;
    }
  }

  /** Lets go of everything, whatever of it fails; answers what was thrown. */
  async #letGo(name: string, resources: Resources): Promise<unknown[]> {
    this.#instances.delete(name);
    const { plug, unplug, forwards, cards } = resources;
    // Once each: what is let go of may be somebody else's the next moment.
    resources.plug = resources.unplug = undefined;
    resources.forwards = [];
    resources.cards = [];
    const ends = await Promise.allSettled([
      attempt(() => unplug?.()),
      attempt(() => plug?.network.leavePlace(plug.place)),
      ...cards.map((card) => attempt(() => card.unplug())),
      ...forwards.map((forward) => attempt(() => forward.close())),
      ...resources.disks.splice(0).map((disk) => attempt(() => this.devices.remove(disk))),
    ]);
    return ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  }
}

/** A card that is shared, and not only a share of the network. */
function isCard(network: boolean | SharedNic | PortShare): network is SharedNic {
  return typeof network === 'object' && 'plug' in network;
}

/** What is thrown at once is a rejection too. */
async function attempt(work: () => unknown): Promise<void> {
  await work();
}

function asList(source: FileSource | readonly FileSource[] | undefined): readonly FileSource[] {
  if (source === undefined) return [];
  return typeof source === 'string' || source instanceof Uint8Array ? [source] : source;
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Pick<T, K>;
}
