/** A computer with its surroundings, on any platform. See docs/architecture.md. */
export { Computer as SystemComputer, type ComputerOptions } from './computer.js';
export { Instance, type InstanceEnd, type ShutdownOptions } from './instance.js';
export { Console, type ConsoleListener, type WaitOptions } from './console.js';
export { Shell, type CommandResult } from './shell/shell.js';
export { Network, type NetworkOptions, type Place } from './network.js';
export { connectCable } from './cable.js';
export { guessConsole, type ConsoleDevice } from './boot-arguments.js';
export type {
  BootOptions,
  DiskFile,
  DiskOptions,
  FileSource,
  ForwardRequest,
  ImageBoot,
  KernelBoot,
} from './boot-options.js';
export type { ShareOptions } from './share.js';
export type { HartShare } from '../partition/harts.js';
export type { HartClaim } from '../computer/seat-table.js';
export type { GuestFile, GuestFiles } from './guest-files.js';
export { SystemError, type SystemErrorCode } from './errors.js';
export type { DiskAccess, OpenDisk, SystemPlatform } from './platform.js';
