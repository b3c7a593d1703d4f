/**
 * How a split virtqueue lies in memory (virtio 1.2, section 2.7), for whoever reads or writes it:
 *
 *   descriptor area   size × { address 8, length 4, flags 2, next 2 }
 *   driver area       flags 2, idx 2, size × head 2, used_event 2
 *   device area       flags 2, idx 2, size × { head 4, length 4 }, avail_event 2
 */

/** Flags of a descriptor. */
export const DESC_F_NEXT = 1;
export const DESC_F_WRITE = 2;
export const DESC_F_INDIRECT = 4;
/** The flag of a driver area. */
export const AVAIL_F_NO_INTERRUPT = 1;

export const DESCRIPTOR_SIZE = 16;
/** Where the index lies in the driver area and in the device area. */
export const INDEX = 2;

export const driverAreaSize = (size: number): number => 4 + 2 * size + 2;
export const deviceAreaSize = (size: number): number => 4 + 8 * size + 2;

/** Where head `index`, free running, lies in the driver area; `size` is a power of two. */
export const headAt = (index: number, size: number): number => 4 + 2 * (index & (size - 1));
/** Where element `index` lies in the device area. */
export const elementAt = (index: number, size: number): number => 4 + 8 * (index & (size - 1));
/** Where used_event lies in the driver area, and avail_event in the device area. */
export const usedEventAt = (size: number): number => 4 + 2 * size;
export const availEventAt = (size: number): number => 4 + 8 * size;

/** Writes descriptor `i` of the table at byte offset `table`. `next`: another of the chain follows, and which. */
export function writeDescriptor(
  view: DataView,
  table: number,
  i: number,
  address: number,
  length: number,
  write: boolean,
  next: number | undefined,
): void {
  const at = table + DESCRIPTOR_SIZE * i;
  view.setUint32(at, address, true);
  view.setUint32(at + 4, 0, true);
  view.setUint32(at + 8, length, true);
  view.setUint16(at + 12, (write ? DESC_F_WRITE : 0) | (next === undefined ? 0 : DESC_F_NEXT), true);
  view.setUint16(at + 14, next ?? 0, true);
}
