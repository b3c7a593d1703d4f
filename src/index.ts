/**
 * Understudy as a library, on Node.
 *
 *     import { Computer, prepareImage, shellProfile } from 'understudy';
 *
 *     const computer = await Computer.create({ memory: 512 * 2 ** 20, harts: 1 });
 *     const guest = await computer.boot({ image: await prepareImage(shellProfile('trixie')) });
 *     const shell = await guest.shell();
 *     console.log(await shell.check('uname -a'));
 *     await guest.shutdown();
 *     await computer.close();
 *
 * Sealed sessions are an entry point of their own, `understudy/session`.
 */
import { defaultCacheFolder, nodeCache } from './adapters/node/cache.js';
import { nodeCommands } from './adapters/node/commands.js';
import { nodeSystem } from './adapters/node/system.js';
import {
  prepareImages as prepare,
  type OnProgress,
  type PreparedImage,
  type PrepareOptions,
  type Profile,
} from './image/index.js';
import { findTree as findInCache, prepareTree as makeTree, type PreparedTree } from './trees/index.js';
import { SystemComputer, type ComputerOptions, type SystemPlatform } from './system/index.js';

/** A computer on this process: machine memory, harts on worker threads, devices, a network, and its VMM. */
export class Computer extends SystemComputer {
  /**
   * Makes a computer. Nothing runs on it yet; `close` ends it.
   * Throws ComputerError (`too-large`, `memory`), SystemError `invalid`, NetError `BAD_CONFIG`.
   */
  static create(options: ComputerOptions & { readonly platform?: SystemPlatform } = {}): Promise<Computer> {
    const { platform = nodeSystem, ...rest } = options;
    // Behind a promise, because a platform may have to load something first.
    return Promise.resolve().then(() => new Computer(platform, rest));
  }
}

/** Options of `prepareTree`. */
export interface TreeOptions extends ImageOptions {
  /** Under which it is kept and mounted; letters, digits, `-`, `_`, `.`. Default: made of the packages' names. */
  readonly name?: string;
}

/**
 * A Debian system with these packages and all that they depend on, on a disk that guests mount read-only; from the cache,
 * or made of Debian packages, whose scripts run in a guest. Throws ImageError.
 *
 *     const tree = await prepareTree(['nginx', 'memcached'], { name: 'web' });
 *     const carrier = await Carrier.boot(computer, { name: 'a', image, trees: [tree] }); // there it is /trees/web
 */
export function prepareTree(install: readonly string[], options: TreeOptions = {}): Promise<PreparedTree> {
  const { cacheFolder = defaultCacheFolder(), ...rest } = options;
  return makeTree(install, {
    ...rest,
    cache: nodeCache(cacheFolder),
    commands: nodeCommands,
    computer: (need) => Computer.create({ ...need, network: false }),
  });
}

/** A tree that was made before, by its name. Throws ImageError `not-found`, `corrupt`. */
export function findTree(
  name: string,
  { cacheFolder = defaultCacheFolder() }: ImageOptions = {},
): Promise<PreparedTree> {
  return findInCache(name, { cache: nodeCache(cacheFolder) });
}

/** Options of `prepareImage` and `prepareImages`. */
export interface ImageOptions extends Omit<PrepareOptions, 'cache' | 'commands' | 'onProgress'> {
  /** The folder that images are kept in; `~/.cache/understudy` unless UNDERSTUDY_CACHE or XDG_CACHE_HOME say otherwise. */
  readonly cacheFolder?: string;
  readonly onProgress?: OnProgress;
}

/**
 * A guest's kernel and file system, from the cache or made of Debian packages that this machine's apt fetches and
 * verifies. Throws ImageError.
 *
 *     const image = await prepareImage(shellProfile('backports'), { onProgress: (p) => console.error(p.message) });
 */
export async function prepareImage(profile: Profile, options: ImageOptions = {}): Promise<PreparedImage> {
  const [image] = await prepareImages([profile], options);
  return image;
}

/**
 * Several images at once, in the order of the profiles. How much is to be fetched for all of them is told first, with
 * the step `plan`; what they share is fetched once. Throws ImageError.
 *
 *     const [old, young] = await prepareImages([redisProfile('trixie'), redisProfile('backports')]);
 */
export function prepareImages(profiles: readonly Profile[], options: ImageOptions = {}): Promise<PreparedImage[]> {
  const { cacheFolder = defaultCacheFolder(), ...rest } = options;
  return prepare(profiles, { ...rest, cache: nodeCache(cacheFolder), commands: nodeCommands });
}

export { dedicateProcess } from './adapters/node/tiering.js';
export {
  Console,
  Instance,
  Network,
  Shell,
  SystemError,
  type BootOptions,
  type CommandResult,
  type ComputerOptions,
  type ConsoleDevice,
  type ConsoleListener,
  type DiskAccess,
  type DiskFile,
  type DiskOptions,
  type FileSource,
  type ForwardRequest,
  type GuestFile,
  type GuestFiles,
  type HartClaim,
  type HartShare,
  type ImageBoot,
  type KernelBoot,
  type NetworkOptions,
  type OpenDisk,
  type Place,
  type InstanceEnd,
  type ShareOptions,
  type ShutdownOptions,
  type SystemErrorCode,
  type SystemPlatform,
  type WaitOptions,
} from './system/index.js';
export {
  ImageError,
  PROFILES,
  redisProfile,
  shellProfile,
  type ImageErrorCode,
  type KernelChoice,
  type OnProgress,
  type PreparedImage,
  type Profile,
  type Progress,
} from './image/index.js';
export { MemoryDisk, BlockError, type BlockBackend, type BlockErrorCode } from './computer/virtio/block-backend.js';
export { OverlayDisk, type OverlayOptions } from './computer/virtio/overlay-disk.js';
export { FileDisk } from './adapters/node/disk/file-disk.js';
export { ComputerError } from './computer/errors.js';
export {
  Devices,
  type BalloonDevice,
  type ConsoleDevice as ComputerConsole,
  type EntropyDevice,
} from './interposition/inventory.js';
export {
  ComputerDevice,
  type DeviceCounters,
  type DeviceMode,
  type SwitchOptions as DeviceSwitchOptions,
  type SwitchReport,
  type Use,
} from './interposition/device.js';
export { InterpositionError, type InterpositionErrorCode } from './interposition/errors.js';
export type { DeviceKindName } from './interposition/kind.js';
export { DiskDevice } from './interposition/kinds/disk.js';
export { NicDevice } from './interposition/kinds/nic.js';
export type {
  DiskDisturbance,
  DiskRecord,
  DiskRequestKind,
  DiskShareOptions,
  DiskWatch,
  MoveOptions as DiskMoveOptions,
  MoveProgress,
  MoveReport,
  SharedDisk,
} from './interposition/path/disk-types.js';
export type {
  FrameDirection,
  FrameKind,
  NicAddress,
  NicDisturbance,
  NicShareOptions,
  NicWatch,
  SharedNic,
} from './interposition/path/nic-types.js';
export type { RateLimit } from './interposition/path/options.js';
export { GuestError, type GuestErrorCode } from './guest/errors.js';
export type { MemoryReport, SizeOptions } from './guest/memory-size.js';
export type { GuestMemoryStatistics } from './computer/virtio/balloon-format.js';
export type { OsEnd, OsInstance } from './guest/os-instance.js';
export { NetError, type Forward, type NetErrorCode } from './net/index.js';
export { LIMITS } from './domain/tree/program.js';
export { launch, type RunningDomain } from './domain/tree/launch.js';
export type { Limit, LimitName, Limits, Program, User } from './domain/tree/program.js';
export { STEPS, type MigrationReport, type Step } from './remapping/migrate.js';
export type { DomainSpec, ProgramEnd } from './domain/tree/anchor.js';
export { findObstacles, type Obstacle } from './remapping/survey.js';
export type { DomainNetwork } from './domain/tree/netlink.js';
export { DomainError, type DomainErrorCode } from './domain/errors.js';
export {
  Carrier,
  Maintenance,
  MaintenanceError,
  moveDomain,
  type CarrierOptions,
  type MaintenanceErrorCode,
  type MaintenanceEvent,
  type MaintenanceOptions,
  type MaintenanceState,
  type OnMaintenance,
  type Untidied,
} from './maintenance/index.js';

export {
  Domain,
  type DomainCheck,
  type DomainEnd,
  type RunOptions as DomainOptions,
  type SeenObstacle,
} from './maintenance/handle/domain.js';
export { WRITABLE, type OwnFolder } from './domain/tree/folders.js';

// Types that those above mention.
export type { PortOptions as ConsolePortOptions } from './computer/virtio/console.js';
export type { Arg, Batch, BatchResult, Buf, LaidOut, Place as BatchPlace, Ref } from './guest/hands/batch.js';
export type { Hands, HandsTransport } from './guest/hands/hands.js';
export type { CpioEntry } from './image/cpio.js';
export type {
  Cache,
  CommandOptions as HostCommandOptions,
  CommandResult as HostCommandResult,
  Commands,
  Files,
  FileWriter,
  Lock,
} from './image/host.js';
export type { ImageManifest, KernelManifest, PackageVersion, UserlandManifest } from './image/manifest.js';
export type { PreparedTree, TreeManifest } from './trees/index.js';
export type { ModuleChoice } from './image/modules.js';
export type { PrepareOptions } from './image/prepare.js';
export type { Mirror, Mirrors } from './image/sources.js';
export type { Blob } from './image/store.js';
export type { DomainCards } from './maintenance/cards.js';
export type { TreeDisk } from './maintenance/carrier.js';
export type { OnOutput } from './maintenance/handle/output.js';
export type { Left } from './maintenance/gate.js';
export type { LeftConnections } from './maintenance/left.js';
export type { DomainInput, InputData } from './maintenance/handle/host-side.js';
export type { WindowSize } from './domain/tree/host-ends.js';
export type { MoveOptions } from './maintenance/move.js';
export type { Subnet } from './net/address.js';
export type { Clock } from './net/clock.js';
export type { Gate } from './net/gate.js';
export type { GatewayConfig, GatewayOptions, Target } from './net/gateway/config.js';
export type { ForwardOptions } from './net/gateway/forwards.js';
export type { Gateway, GatewayStatus } from './net/gateway/gateway.js';
export type {
  GateTarget,
  Port,
  PortAddresses,
  PortCounters,
  PortOptions as SwitchPortOptions,
  PortShare,
  Release,
} from './net/port.js';
export type {
  DatagramsRefused,
  HostDatagrams,
  HostStream,
  Listener,
  Sockets,
  StreamEvents,
  StreamFault,
} from './net/sockets.js';
export type { Connection, Stay } from './net/stays.js';
export type { Switch, SwitchOptions } from './net/switch.js';
export type { TcpConfig } from './net/tcp/tcb.js';
export type { HartThread, Platform } from './partition/hart.js';
export type { ResetKind } from './partition/sbi.js';
export type { CommonOptions } from './system/boot-options.js';
export type { Computer as SystemComputer } from './system/computer.js';
export type { AddedCard } from './system/cards.js';
export type { Cable, GivenDevice, PlugOptions } from './system/hot-plug.js';
export type {
  DeviceInspection,
  FrameInspection,
  HartInspection,
  HartState,
  InspectOptions,
  Inspection,
  InstanceInspection,
  PortInspection,
} from './system/inspection.js';
export type { NicLink } from './system/nic-link.js';
export type { Plug } from './system/instance.js';
export type { Output } from './system/shell/output.js';
export type { Shells } from './system/shell/shells.js';
export type { ShellSlot, SlotHost } from './system/shell/slot.js';
