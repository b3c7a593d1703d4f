/** What an OS instance is booted from and with, as the library's user says it. */
import type { BlockBackend } from '../computer/virtio/block-backend.js';
import type { PortOptions } from '../computer/virtio/console.js';
import type { PreparedImage } from '../image/index.js';
import type { DiskDevice } from '../interposition/kinds/disk.js';
import type { SharedDisk } from '../interposition/path/disk-types.js';
import type { PortShare } from '../net/index.js';
import type { SharedNic } from '../interposition/path/nic-types.js';
import type { ConsoleDevice } from './boot-arguments.js';
import type { GuestFiles } from './guest-files.js';
import type { DiskAccess } from './platform.js';

/** The path of a file, or its contents. */
export type FileSource = string | Uint8Array;

/** A raw disk image or block device of the host. */
export interface DiskFile extends DiskAccess {
  readonly path: string;
  /** What the guest writes is kept in memory and gone with it; the file stays as it is. */
  readonly discardChanges?: boolean;
  /**
   * Bytes of memory that with `discardChanges` may be kept of what the guest writes; what needs more is an I/O error in
   * the guest. Unless told 1 GiB, or a quarter of the host's memory if that is less.
   */
  readonly mostChanges?: number;
}

/** The path of a raw disk image, more about it, or any backend. */
export type DiskOptions = string | BlockBackend | SharedDisk | DiskFile;

/** A port of the host that leads to a port of the guest. */
export interface ForwardRequest {
  /** `tcp` unless told. */
  readonly protocol?: 'tcp' | 'udp';
  /** The host's address to listen on, `127.0.0.1` unless told. */
  readonly host?: string;
  /** The host's port; 0 or absent lets the host choose. */
  readonly port?: number;
  readonly guestPort: number;
}

/** What every boot may be given. */
export interface CommonOptions {
  /** A word of at most 64 bytes that no other OS instance of the computer has; `os0`, `os1`, … unless told. */
  readonly name?: string;
  /** Bytes of memory, a multiple of 4096; what the computer has free unless told. */
  readonly memory?: number;
  /**
   * Bytes of `memory` that are its own from the start; all of it unless told. The rest it gets when it first touches it,
   * from what the computer has free then; `memory` may be more than that. A guest that touches more than there is has two
   * seconds in which others may give some, and then ends, with `out-of-frames`.
   */
  readonly guaranteed?: number;
  /**
   * Bytes that `setMemory` can bring it to while it runs; `memory` unless told. Its device tree says so much; a balloon
   * keeps the difference, and until the kernel has loaded the driver (virtio_balloon) it must not touch more than `memory`.
   */
  readonly maxMemory?: number;
  /** 1 unless told. */
  readonly harts?: number;
  /**
   * Harts that it may be given while it runs (`Instance.setHarts`), `harts` unless told. Its device tree lists so many; those
   * that it has not do not exist for its kernel's SBI, and so it leaves them offline.
   */
  readonly maxHarts?: number;
  /**
   * It runs on harts that it shares: where several want more than there is, each gets time in proportion to its weight, 1
   * to 10,000; what one does not use the others have. 100 unless told, if `cpu` is; without either its harts are its own.
   */
  readonly weight?: number;
  /** It shares harts, and has at most so many harts' time, 0.01 or more; no limit unless told. */
  readonly cpu?: number;
  /** Kernel arguments behind ours; of two that contradict each other, the kernel takes the later. */
  readonly bootArguments?: string;
  /** The kernel's whole command line, exactly, in place of ours; not with `bootArguments`. */
  readonly commandLine?: string;
  /** Disks that are opened, or given, for this instance, and disks of the computer that nobody has. */
  readonly disks?: readonly (DiskOptions | DiskDevice)[];
  /** False: no network card. A shared card (`NicDevice.share`): it uses that one, under its own address. A share: what its card may have. */
  readonly network?: boolean | SharedNic | PortShare;
  readonly forwards?: readonly ForwardRequest[];
  /** Further ports of the console device; the guest has them as /dev/vport0p1 and so on, in this order. */
  readonly ports?: readonly PortOptions[];
  /** Size of the terminal in characters, 80 by 24 unless told; at most 65,535 by 65,535. */
  readonly columns?: number;
  readonly rows?: number;
}

/** From an image of `prepareImage`: Debian's kernel and a small user space, set up by us. */
export interface ImageBoot extends CommonOptions {
  readonly image: PreparedImage;
  /** A shell script that runs in place of the interactive shell; the guest powers off when it ends. */
  readonly run?: string;
  /** Files added to the guest's, or in place of its own. */
  readonly files?: GuestFiles;
  readonly kernel?: never;
  readonly initramfs?: never;
  readonly console?: never;
}

/** From any RISC-V Linux `Image`. */
export interface KernelBoot extends CommonOptions {
  readonly kernel: FileSource;
  /** One cpio archive (compressed if the kernel can), or several in a row. */
  readonly initramfs?: FileSource | readonly FileSource[];
  /** Where the kernel has its console; guessed from the drivers in it unless told. */
  readonly console?: ConsoleDevice;
  readonly image?: never;
  readonly run?: never;
  readonly files?: never;
}

/** What to boot: an image of ours, or a kernel of yours. */
export type BootOptions = ImageBoot | KernelBoot;
