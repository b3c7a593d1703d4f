import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { BlockError, SECTOR_SIZE, type BlockBackend } from '../../computer/virtio/block-backend.js';

/** A disk in a file: a raw image. */
export class FileDisk implements BlockBackend {
  private constructor(
    private readonly file: FileHandle,
    readonly sectors: number,
    readonly readOnly: boolean,
    readonly id: string,
  ) {}

  /**
   * Opens the image at `path`; bytes beyond the last whole sector are not part of the disk.
   * Throws what opening a file throws, and BlockError('size') if it is shorter than a sector.
   */
  static async open(path: string, readOnly = false): Promise<FileDisk> {
    const file = await open(path, readOnly ? 'r' : 'r+');
    try {
      const sectors = Math.floor((await file.stat()).size / SECTOR_SIZE);
      if (sectors === 0) throw new BlockError('size', `${path} is shorter than one sector of ${SECTOR_SIZE} bytes`);
      return new FileDisk(file, sectors, readOnly, basename(path));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async read(sector: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await this.file.read(into, done, into.length - done, sector * SECTOR_SIZE + done);
      if (bytesRead === 0) throw new BlockError('range', `the image ends before sector ${sector + into.length / 512}`);
      done += bytesRead;
    }
  }

  async write(sector: number, from: Uint8Array): Promise<void> {
    if (this.readOnly) throw new BlockError('read-only', 'the disk is read-only');
    for (let done = 0; done < from.length;) {
      const { bytesWritten } = await this.file.write(from, done, from.length - done, sector * SECTOR_SIZE + done);
      done += bytesWritten;
    }
  }

  async flush(): Promise<void> {
    if (!this.readOnly) await this.file.datasync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
