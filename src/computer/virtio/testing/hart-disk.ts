/** Has a test machine's driver kick a hart that does block requests itself, as on a board. */
import { interruptOf, PciHost } from '../../pci/host.js';
import { SECTOR_SIZE, type MemoryDisk } from '../block-backend.js';
import { BlockRequests, type SyncDisk } from '../block-requests.js';
import { VirtioRegisters } from '../registers.js';
import type { TestMachine } from './machine.js';

const PCI_STATE = 0x2000;

/** A disk in memory, for a hart's thread. */
export function syncDisk(disk: Pick<MemoryDisk, 'bytes' | 'sectors' | 'readOnly'>): SyncDisk {
  const { bytes, sectors, readOnly } = disk;
  const each = (
    sector: number,
    buffers: readonly Uint8Array[],
    move: (buffer: Uint8Array, at: number) => void,
  ): void => {
    let at = sector * SECTOR_SIZE;
    for (const buffer of buffers) {
      move(buffer, at);
      at += buffer.length;
    }
  };
  return {
    sectors,
    readOnly,
    read: (sector, into) => each(sector, into, (buffer, at) => buffer.set(bytes.subarray(at, at + buffer.length))),
    write: (sector, from) => each(sector, from, (buffer, at) => bytes.set(buffer, at)),
  };
}

/** From now on kicks of block devices are served here while `disk` answers one. */
export function hartServes(machine: TestMachine, disk: () => SyncDisk | undefined, doorbell?: () => unknown): void {
  const { buffer } = machine;
  const ring = doorbell ?? ((): unknown => machine.rings++);
  const pci = new PciHost(buffer, PCI_STATE, 0, (stateOffset, slot) => {
    const line = machine.plic.line(interruptOf(slot));
    const requests = new BlockRequests({ buffer, stateOffset, dma: machine, line, doorbell: ring, disk });
    return new VirtioRegisters(buffer, stateOffset, line, ring, (q) => requests.serve(q));
  });
  Object.assign(machine, { pci });
}
