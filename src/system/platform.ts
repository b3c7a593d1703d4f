import type { BlockBackend } from '../computer/virtio/block-backend.js';
import type { Clock, Sockets } from '../net/index.js';
import type { Platform } from '../partition/hart.js';

/** A disk that something on the host stands behind, to be let go of in the end. */
export interface OpenDisk extends BlockBackend {
  close(): Promise<void>;
}

/** How a disk is opened. */
export interface DiskAccess {
  /** It cannot be written, and others may read it at the same time. */
  readonly readOnly?: boolean;
  /** Its contents are the disk's, even if they begin like an image of another format. */
  readonly raw?: boolean;
  /** False: it is not locked, and nothing keeps others from writing it too. */
  readonly lock?: boolean;
}

/** What a computer with its surroundings needs of the platform it runs on. */
export interface SystemPlatform extends Platform {
  readonly sockets: Sockets;
  readonly clock: Clock;
  /** Bytes of memory that there are for this process and others; undefined: that is not known. */
  readonly memory?: number;
  /** The whole file. Rejects with a message that says what is wrong with it. */
  readFile(path: string): Promise<Uint8Array>;
  /** The raw disk image at `path`, locked unless told otherwise. Rejects with BlockError. */
  openDisk(path: string, access: DiskAccess): Promise<OpenDisk>;
}
